package broker

import (
	"context"
	"fmt"
	"log/slog"
)

// logger passes on what the NATS server says. A kiosk that tries what it may not is in there as a violation: the kiosk itself is told nothing.
type logger struct{ log *slog.Logger }

func (l *logger) say(level slog.Level, format string, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, "broker", "says", fmt.Sprintf(format, args...))
	}
}

func (l *logger) Noticef(format string, v ...any) { l.say(slog.LevelDebug, format, v) }
func (l *logger) Warnf(format string, v ...any)   { l.say(slog.LevelWarn, format, v) }
func (l *logger) Fatalf(format string, v ...any)  { l.say(slog.LevelError, format, v) }
func (l *logger) Errorf(format string, v ...any)  { l.say(slog.LevelWarn, format, v) }
func (l *logger) Debugf(string, ...any)           {}
func (l *logger) Tracef(string, ...any)           {}

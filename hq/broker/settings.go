package broker

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"text/template"

	"github.com/nats-io/nkeys"
)

// ClusterKey is what headquarters shows to a house's NATS servers, and by which it vouches to them for kiosks. Who has it can let anybody in there, and
// carry or hold back messages as any broker can.
type ClusterKey [32]byte

// NewClusterKey draws one.
func NewClusterKey() (k ClusterKey) {
	rand.Read(k[:])
	return k
}

// user is a key by which a connection shows who it is.
type user struct {
	key    nkeys.KeyPair
	public string
}

// derived is what comes out of a ClusterKey.
type derived struct {
	issuer   nkeys.KeyPair
	hq, auth user
	route    string // password of the servers among each other
}

var errNoKey = errors.New("no key of the cluster")

func (k ClusterKey) derive() (d derived, err error) {
	if k == (ClusterKey{}) {
		return d, errNoKey
	}
	draw := func(name string) (seed []byte) {
		if err == nil {
			seed, err = hkdf.Key(sha256.New, k[:], nil, "lintel cluster 1 "+name, 32)
		}
		return seed
	}
	pair := func(kind nkeys.PrefixByte, name string) (u user) {
		seed := draw(name)
		if err == nil {
			u.key, err = nkeys.FromRawSeed(kind, seed)
		}
		if err == nil {
			u.public, err = u.key.PublicKey()
		}
		return u
	}
	d.issuer = pair(nkeys.PrefixByteAccount, "issuer").key
	d.hq, d.auth = pair(nkeys.PrefixByteUser, loginHQ), pair(nkeys.PrefixByteUser, loginAuth)
	d.route = hex.EncodeToString(draw("route"))
	return d, err
}

// countable refuses a number of servers that stands no more failures than one less, and one that is counted twice.
func countable(servers []string) error {
	if n := len(servers); n != 1 && n != 3 && n != 5 {
		return fmt.Errorf("%d servers: name 1, 3 or 5, and all of them", n)
	}
	named := map[string]bool{}
	for _, s := range servers {
		same := strings.ToLower(strings.TrimSuffix(s, "."))
		if ip := net.ParseIP(s); ip != nil {
			same = ip.String()
		}
		if named[same] {
			return fmt.Errorf("%q is named twice: name each server once", s)
		}
		named[same] = true
	}
	return nil
}

// replicas is on how many of so many servers a message lies before it is acknowledged.
func replicas(servers int) int { return min(servers, 3) }

// Ports of a cluster's servers.
const (
	PortNATS  = 4222 // headquarters
	PortMQTT  = 8883 // kiosks
	PortRoute = 6222 // the servers among each other
)

// settings are a server's, as nats-server reads them. docs/HQ.md says why each.
var settings = template.Must(template.New("").Parse(`# Made by hq cluster: server {{.Number}} of {{len .Hosts}} that carry messages between headquarters and its kiosks.
server_name: "lintel-{{.Number}}"
listen: "0.0.0.0:{{.NATS}}"   # headquarters alone: everybody else is refused
max_payload: {{.MaxPayload}}
tls {
{{.TLS}}
  handshake_first: true
}

jetstream {
  store_dir: "{{.At}}/data"
  sync_interval: always              # an acknowledgement means that it is on the disk
  limits { default_max_consumers: -1 }   # 1000 otherwise, and each kiosk needs one
}

# Kiosks: TLS 1.3 with a certificate of headquarters', and then headquarters says who they may be.
mqtt {
  listen: "0.0.0.0:{{.MQTT}}"
  tls {
{{.TLS}}
  }
  ack_wait: "{{.AckWait}}"                     # 30s would deliver after newer messages
  max_ack_pending: 64
  stream_replicas: {{.Replicas}}                 # with one route it would be 1, silently
}
{{if gt (len .Hosts) 1}}
cluster {
  name: "lintel"
  listen: "0.0.0.0:{{.Route}}"
  authorization { user: "lintel", password: "{{.Password}}", timeout: 5 }
  tls {
{{.TLS}}
  }
  routes: [{{range .Routes}}
    "tls://lintel:{{$.Password}}@{{.}}"{{end}}
  ]
}
{{end}}
accounts {
  {{.Account}} { jetstream: enabled, users: [ { nkey: {{.HQ}} } ] }   # headquarters and its kiosks
  {{.System}} { users: [ { nkey: {{.Auth}} } ] }      # headquarters, which answers and ends connections
}
system_account: {{.System}}

# Whoever is none of these two: headquarters is asked. While it does not answer, nobody.
authorization {
  timeout: 3
  auth_callout {
    issuer: {{.Issuer}}
    account: {{.System}}
    auth_users: [ {{.HQ}}, {{.Auth}} ]
    allowed_accounts: [ {{.Account}} ]
  }
}
`))

const tlsSettings = `    cert_file: "%[1]s/broker.crt"
    key_file: "%[1]s/broker.key"
    ca_file: "%[1]s/authority.crt"
    verify: true
    min_version: "1.3"
    timeout: 10`

// Settings are those of each server of a cluster: of 1, 3 or 5. Their certificates and the authorities lie
// in the folder at, and so will what they store. The settings hold a password.
func Settings(k ClusterKey, hosts []string, at string) (files []string, err error) {
	if err := countable(hosts); err != nil {
		return nil, err
	}
	for _, s := range append(hosts[:len(hosts):len(hosts)], at) {
		if s == "" || strings.ContainsAny(s, "\"\\\n\r{}@ ") {
			return nil, fmt.Errorf("%q cannot stand in a server's settings", s)
		}
	}
	var routes []string
	for _, s := range hosts {
		if net.ParseIP(s) == nil && (strings.ContainsAny(s, ":/") || strings.Trim(s, ".") == "") {
			return nil, fmt.Errorf("%q is no name or address of a host: leave out any port or path", s)
		}
		routes = append(routes, net.JoinHostPort(s, strconv.Itoa(PortRoute)))
	}
	d, err := k.derive()
	if err != nil {
		return nil, err
	}
	issuer, err := d.issuer.PublicKey()
	if err != nil {
		return nil, err
	}
	for i := range hosts {
		var b strings.Builder
		err := settings.Execute(&b, map[string]any{
			"Number": i + 1, "Hosts": hosts, "Routes": routes, "Replicas": replicas(len(hosts)), "At": at, "TLS": fmt.Sprintf(tlsSettings, at), "MaxPayload": maxPayload, "AckWait": redeliver,
			"NATS": PortNATS, "MQTT": PortMQTT, "Route": PortRoute, "Password": d.route, "Account": account, "System": systemAccount,
			"Issuer": issuer, "HQ": d.hq.public, "Auth": d.auth.public,
		})
		if err != nil {
			return nil, err
		}
		files = append(files, b.String())
	}
	return files, nil
}

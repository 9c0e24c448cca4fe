// Package backup holds the two halves of a DTR backup on this machine: its file,
// which has its name only once it is complete and on the disk, and its archive,
// which is read to its end before it is believed.
//
// It does not know how the backup is taken, and must not import any package of
// this project but transition.
package backup

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// FileState is what is seen of the file that a backup is to be written to.
type FileState struct {
	Exists   bool
	Modified time.Time
	Problem  error // why it could not be written
}

// Look looks at the file of that name and at its directory.
func Look(name string) FileState {
	info, err := os.Lstat(name)
	if err == nil {
		return FileState{Exists: true, Modified: info.ModTime()}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return FileState{Problem: err}
	}
	dir, err := os.Stat(filepath.Dir(name))
	if err == nil && !dir.IsDir() {
		err = &fs.PathError{Op: "stat", Path: filepath.Dir(name), Err: errors.New("is not a directory")}
	}
	return FileState{Problem: err}
}

// Open opens a backup to read it. It waits for nobody to write to what is a pipe by now.
func Open(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) //nolint:gosec // the user's own file
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("is not a regular file")}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// Absolute is the absolute path of a file, or its name where that is not known.
func Absolute(name string) string {
	if abs, err := filepath.Abs(name); err == nil {
		return abs
	}
	return name
}

// File is a backup that is being written beside the file that it is to be.
type File struct {
	*os.File
	Target   string // the name that it gets
	Size     int64  // once it is finished
	WriteErr error  // of a write that failed

	sum hash.Hash // of what was written
}

// partials are the names of what is being written for the owner beside the file,
// or was by a run that was killed.
func partials(name, owner string) (list []string) {
	dir := filepath.Dir(name)
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), partialPrefix(name, owner)) && strings.HasSuffix(e.Name(), partialSuffix) {
			list = append(list, filepath.Join(dir, e.Name()))
		}
	}
	return list
}

const partialSuffix = ".partial"

func partialPrefix(name, owner string) string { return "." + filepath.Base(name) + "." + owner + "." }

// Create makes the partial file for a backup, which no other run writes to. What earlier
// runs of the owner left, whose name has the owner, is removed.
func Create(name, owner string) (*File, error) {
	RemovePartials(name, owner)
	f, err := os.CreateTemp(filepath.Dir(name), partialPrefix(name, owner)+"*"+partialSuffix)
	if err != nil {
		return nil, err
	}
	return &File{File: f, Target: name, sum: sha256.New()}, nil
}

// RemovePartials removes what killed runs of the owner left.
func RemovePartials(name, owner string) {
	for _, partial := range partials(name, owner) {
		_ = os.Remove(partial)
	}
}

func (f *File) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	_, _ = f.sum.Write(p[:n]) // never fails
	if err != nil {
		f.WriteErr = err
	}
	return n, err
}

// Drop removes what was written. After Keep there is nothing left to remove.
func (f *File) Drop() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}

// Finish brings what was written to the disk, and returns its SHA-256 sum.
func (f *File) Finish() (sum string, err error) {
	if err := f.Sync(); err != nil {
		return "", err
	}
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	f.Size = info.Size()
	return hex.EncodeToString(f.sum.Sum(nil)), f.Close()
}

// Keep gives the file its name, once it is finished. The error is fs.ErrExist where
// there is a file of that name by now.
func (f *File) Keep() error {
	err := os.Link(f.Name(), f.Target)
	if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
		err = f.takeName()
	}
	if err != nil {
		return err
	}
	syncDir(filepath.Dir(f.Target))
	return nil
}

// takeName is for a file system without links: it takes the name first, which
// fails where there is such a file.
func (f *File) takeName() error {
	reserved, err := os.OpenFile(f.Target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(reserved.Close(), os.Rename(f.Name(), f.Target)); err != nil {
		return errors.Join(err, os.Remove(f.Target))
	}
	return nil
}

// syncDir makes the name survive a power failure, where the system can do that.
func syncDir(name string) {
	if d, err := os.Open(name); err == nil { //nolint:gosec // of the user's own file
		_ = d.Sync()
		_ = d.Close()
	}
}

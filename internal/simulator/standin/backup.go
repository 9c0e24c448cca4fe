package standin

import (
	"archive/tar"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"strings"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/release"
)

// backupTables are the files of a backup, and backupTableSize is the size of one.
// The names of the directories above them are published, theirs are made up.
var backupTables = []string{"repositories", "manifests", "tags", "namespaces"}

const backupTableSize = 64 << 10

var errCut = errors.New("cut, as it was told to")

// backup is one run of the backup command, which has no second phase.
type backup struct {
	*bootstrapper
	out io.Writer
}

// run writes the archive, or what the faults demand instead.
func (b backup) run(ctx context.Context) (status int) {
	b.reach(ctx, BackupStarted)
	err := b.execute(ctx)
	faults := b.faults()
	switch {
	case errors.Is(err, errCut):
	case err != nil:
		status = 1
		b.log.write("fatal", cmp.Or(faults.FatalRecord, err.Error()))
	case faults.FatalRecord != "":
		b.log.write("fatal", faults.FatalRecord)
	}
	b.reach(ctx, BackupFinished)
	if faults.ExitStatus != nil {
		return *faults.ExitStatus
	}
	return status
}

func (b backup) execute(ctx context.Context) error {
	if err := b.connect(ctx); err != nil {
		return err
	}
	defer b.docker.Close()
	if _, _, err := b.pick(ctx); err != nil {
		return err
	}
	b.log.info("Connecting to network: " + release.OverlayNetwork)
	b.log.info("Establishing connection with Rethinkdb")
	if err := b.clock.Sleep(ctx, settleTime); err != nil {
		return err
	}
	if b.faults().BackupGarbage {
		_, err := io.WriteString(b.out, strings.Repeat("this is no archive\n", 1000))
		return err
	}
	return b.archive(ctx)
}

// archive writes the tar archive. It begins with the directories by which the vendor
// tells users to verify a backup.
func (b backup) archive(ctx context.Context) error {
	faults := b.faults()
	top := "dtr-backup-v" + cmp.Or(faults.BackupVersion, b.version.String()) + "/"
	if faults.BackupUnnamed {
		top = ""
	}
	w := tar.NewWriter(b.out)
	for _, dir := range []string{top, top + "rethink/", top + "rethink/layers/"} {
		if dir == "" {
			continue
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}); err != nil {
			return err
		}
	}
	for i, table := range backupTables {
		if i == len(backupTables)/2 {
			b.reach(ctx, BackupHalfway)
			if faults.BackupCut {
				return errCut
			}
		}
		if err := w.WriteHeader(&tar.Header{Name: top + "rethink/layers/" + table, Mode: 0o644, Size: backupTableSize}); err != nil {
			return err
		}
		row := sha256.Sum256([]byte(table))
		for range backupTableSize / len(row) {
			if _, err := w.Write(row[:]); err != nil {
				return err
			}
		}
	}
	return errors.Join(ctx.Err(), w.Close())
}

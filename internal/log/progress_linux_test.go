package log_test

import (
	"bufio"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/log"
)

// terminal makes a terminal, and is the side of it that shows what is written, and its name.
func terminal(t *testing.T) (shown *os.File, name string) {
	t.Helper()
	shown, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = shown.Close() })
	fd := int(shown.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	return shown, fmt.Sprintf("/dev/pts/%d", n)
}

// TestBarOfATerminal holds that a terminal shows a bar below the lines until all is
// done, over which Terraform's own lines are written.
func TestBarOfATerminal(t *testing.T) {
	t.Parallel()
	shown, name := terminal(t)
	var p log.Progress
	if err := p.Open(name); err != nil {
		t.Fatal(err)
	}
	ctx := p.With(t.Context())
	log.Info(ctx, "Step upgrade begins")
	log.Bar(ctx, 9, 27, "1/3 replicas, 9/27 \x1bparts")
	log.Info(ctx, "Replica 2cbdae79f078 on worker1 runs 2.6.15 (1 of 3)")
	log.Bar(ctx, 27, 27, "3/3 replicas, 27/27 parts")
	log.Bar(ctx, 27, 27, "3/3 replicas, 27/27 parts")
	log.Info(ctx, "Step upgrade ended")
	log.NoBar(ctx)
	log.Bar(ctx, 1, 2, "half")
	log.NoBar(ctx)
	log.Info(ctx, "The end")

	var text string
	for lines := bufio.NewReader(shown); !strings.Contains(text, "The end"); {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text += line
	}
	const (
		line  = `\x1b\[K\d\d:\d\d:\d\d  `
		third = `██████░░░░░░░░░░░░░░ 1/3 replicas, 9/27 \\x1bparts\r`
	)
	want := `^` + line + `Step upgrade begins\r\n` +
		`\x1b\[K` + third +
		line + `Replica 2cbdae79f078 on worker1 runs 2\.6\.15 \(1 of 3\)\r\n` + third +
		`\x1b\[K████████████████████ 3/3 replicas, 27/27 parts\r` +
		line + `Step upgrade ended\r\n` +
		`\x1b\[K██████████░░░░░░░░░░ half\r\x1b\[K` + line + `The end\r\n$`
	if !regexp.MustCompile(want).MatchString(text) {
		t.Errorf("%q", text)
	}
}

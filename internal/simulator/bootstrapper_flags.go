package simulator

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/Masterminds/semver/v3"
)

// upgradeOptions are the flags of the upgrade command.
type upgradeOptions struct {
	existing               string
	ucpURL, ucpUser, ucpCA string
	ucpPassword            string
	ucpInsecure, debug     bool
	noImageCheck, noColor  bool
	offlineBackup          bool
	maxWait                time.Duration
}

// upgradeFlag is one flag, the variable that it defaults to, and the versions
// that know it.
type upgradeFlag struct {
	name, env  string
	from, till string // minor versions, "" for all; till is the first without it
	value      func(o *upgradeOptions) any
}

var upgradeFlags = []upgradeFlag{
	{"debug", "DEBUG", "", "", func(o *upgradeOptions) any { return &o.debug }},
	{"existing-replica-id", "DTR_REPLICA_ID", "", "", func(o *upgradeOptions) any { return &o.existing }},
	{"ucp-url", "UCP_URL", "", "", func(o *upgradeOptions) any { return &o.ucpURL }},
	{"ucp-username", "UCP_USERNAME", "", "", func(o *upgradeOptions) any { return &o.ucpUser }},
	{"ucp-password", "UCP_PASSWORD", "", "", func(o *upgradeOptions) any { return &o.ucpPassword }},
	{"ucp-ca", "UCP_CA", "", "", func(o *upgradeOptions) any { return &o.ucpCA }},
	{"ucp-insecure-tls", "UCP_INSECURE_TLS", "", "", func(o *upgradeOptions) any { return &o.ucpInsecure }},
	{"no-image-check", "NO_IMAGE_CHECK", "2.6", "2.7", func(o *upgradeOptions) any { return &o.noImageCheck }},
	{"nocolor", "NOCOLOR", "2.9", "", func(o *upgradeOptions) any { return &o.noColor }},
	{"max-wait", "MAX_WAIT", "2.9", "", func(o *upgradeOptions) any { return &o.maxWait }},
}

func (f upgradeFlag) known(v *semver.Version) bool {
	return (f.from == "" || !v.LessThan(semver.MustParse(f.from))) && (f.till == "" || v.LessThan(semver.MustParse(f.till)))
}

// knowsVersionFlag: --version came with 2.7.0.
func knowsVersionFlag(v *semver.Version) bool { return !v.LessThan(semver.MustParse("2.7.0")) }

// backupFlags are those of the backup command: the ones for the way to UCP, and
// its own.
var backupFlags = append(slices.Clone(upgradeFlags[:7]),
	upgradeFlag{"offline-backup", "OFFLINE_BACKUP", "2.5", "", func(o *upgradeOptions) any { return &o.offlineBackup }})

func parseUpgrade(v *semver.Version, args []string, vars map[string]string) (upgradeOptions, error) {
	return parseFlags("upgrade", upgradeFlags, v, args, vars)
}

func parseBackup(v *semver.Version, args []string, vars map[string]string) (upgradeOptions, error) {
	return parseFlags("backup", backupFlags, v, args, vars)
}

// parseFlags reads flags and their variables as a version of the bootstrapper
// does: a flag that it does not know is an error.
func parseFlags(command string, flags []upgradeFlag, v *semver.Version, args []string, vars map[string]string) (upgradeOptions, error) {
	var o upgradeOptions
	set := flag.NewFlagSet(command, flag.ContinueOnError)
	set.SetOutput(io.Discard)
	for _, f := range flags {
		if !f.known(v) {
			continue
		}
		switch value := f.value(&o).(type) {
		case *bool:
			on, err := strconv.ParseBool(vars[f.env])
			if vars[f.env] != "" && err != nil {
				return o, fmt.Errorf("invalid value %q of %s", vars[f.env], f.env)
			}
			set.BoolVar(value, f.name, on, "")
		case *string:
			set.StringVar(value, f.name, vars[f.env], "")
		case *time.Duration:
			wait, err := time.ParseDuration(vars[f.env])
			if vars[f.env] != "" && err != nil {
				return o, fmt.Errorf("invalid value %q of %s", vars[f.env], f.env)
			}
			set.DurationVar(value, f.name, wait, "")
		}
	}
	if err := set.Parse(args); err != nil {
		return o, err
	}
	if set.NArg() > 0 {
		return o, fmt.Errorf("unexpected argument %q", set.Arg(0))
	}
	return o, nil
}

// env hands the options on to phase 2.
func (o upgradeOptions) env() []string {
	env := []string{
		"DTR_REPLICA_ID=" + o.existing, "UCP_URL=" + o.ucpURL, "UCP_USERNAME=" + o.ucpUser,
		"UCP_PASSWORD=" + o.ucpPassword, "UCP_CA=" + o.ucpCA,
	}
	if o.ucpInsecure {
		env = append(env, "UCP_INSECURE_TLS=true")
	}
	if o.debug {
		env = append(env, "DEBUG=true")
	}
	if o.maxWait > 0 {
		env = append(env, "MAX_WAIT="+o.maxWait.String())
	}
	return env
}

//go:build unix

package provider

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/s3test"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
)

// TestUploadIsChecked holds what a configuration of an upload is refused for, without a word of what is secret.
func TestUploadIsChecked(t *testing.T) {
	t.Parallel()
	p := planner(t, start(t, "2.5.6"))
	file := filepath.Join(t.TempDir(), "dtr.tar")
	const well = "https://store.example.com/dtr.tar?sig=s3cret"
	for name, c := range map[string]struct {
		upload any
		want   string // "" for none
	}{
		"well":               {values{"url": well, "headers": values{"x-ms-blob-type": "BlockBlob"}}, ""},
		"plain HTTP":         {values{"url": "http://store.example.com/dtr.tar?sig=s3cret"}, ""},
		"not known":          {unknown{}, ""},
		"URL not known":      {values{"url": unknown{}, "headers": values{"x-a": unknown{}}}, ""},
		"another scheme":     {values{"url": "s3://s3cret/dtr.tar"}, "Not the URL of an object\n  at backup.upload.url\n\nbackup.upload.url does not begin with https:// or http://.\n"},
		"of a file":          {values{"url": well + "\n"}, "backup.upload.url begins or ends in white space"},
		"no URL":             {values{"headers": values{}}, "at backup.upload.url"},
		"empty":              {values{"url": ""}, "backup.upload.url is empty"},
		"name of a header":   {values{"url": well, "headers": values{"x ms": "s3cret"}}, `"x ms" is not the name of a header`},
		"own header":         {values{"url": well, "headers": values{"Content-Length": unknown{}}}, "Content-Length is set by the provider itself"},
		"value of a header":  {values{"url": well, "headers": values{"x-a": "s3cret\r\nx-b: 1"}}, "The value of X-A has a line break"},
		"no value of header": {values{"url": well, "headers": values{"x-a": nil}}, "is null"},
	} {
		config := values{"target_version": "2.6.15", "backup": values{"file": file, "upload": c.upload}}
		text := render(p.validate(config))
		if c.want == "" && text == "" {
			text = render(p.plan(nil, config).diags)
		}
		if strings.Contains(text, "s3cret") {
			t.Errorf("%s: the secret is in:\n%s", name, text)
		}
		if c.want == "" && (strings.Contains(text, "Error: ") || strings.Contains(text, "backup")) || !strings.Contains(text, c.want) {
			t.Errorf("%s: got:\n%s\nwant %q", name, text, c.want)
		}
	}
	old, err := p.server.ValidateResourceConfig(p.ctx, &tfprotov6.ValidateResourceConfigRequest{
		TypeName: "dtr_upgrade", Config: p.dynamic(value(t, p.schema.ValueType(), values{"target_version": "2.6.15", "backup": values{"file": file, "upload": values{"url": well}}})),
	})
	p.ok(err, nil)
	if text := render(old.Diagnostics); !strings.Contains(text, "Error: ") || !strings.Contains(text, "Terraform 1.11 and later") || strings.Contains(text, "s3cret") {
		t.Errorf("for a Terraform that would store it:\n%s", text)
	}
}

// TestUploadStaysSecret has a backup refused by its store, which repeats all that it was sent, and then taken.
func TestUploadStaysSecret(t *testing.T) {
	t.Parallel()
	const token = "t0ken-of-a-header"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = fmt.Fprintf(w, "<Error><Code>AccessDenied</Code><Message>%s %s %s</Message></Error>", r.URL.RawQuery, r.URL.Query().Get("X-Amz-Signature"), r.Header.Get("X-Token"))
	}))
	t.Cleanup(server.Close)
	store := s3test.Start(t)
	good := store.Presigned(t, "dtr.tar", time.Now(), "x-amz-meta-of", token)
	signed, err := url.Parse(good)
	must(err)
	cluster := start(t, "2.5.6")
	var out buffer
	p := newProtocol(t, quick()...)
	p.ctx = tflogtest.RootLogger(p.ctx, &out)
	p.ok(nil, p.configure(connected(cluster)))
	file := filepath.Join(t.TempDir(), "dtr.tar")
	upload := func(u string, header string) values {
		return values{"target_version": "2.6.15", "backup": values{"file": file, "upload": values{"url": u, "headers": values{header: token}}}}
	}
	planned := p.plan(nil, upload(good, "x-amz-meta-of"))
	fmt.Fprintf(&out, "%s\n%s\n%s\n", render(planned.diags), planned.raw.PlannedState.MsgPack, planned.raw.PlannedPrivate)
	refused := p.apply(nil, upload(server.URL+"/dtr.tar?"+signed.RawQuery, "x-token"))
	expect(t, refused.diags, "Error: The backup of DTR was not uploaded\n  at backup.upload\n\nFile: "+file+
		"\nHost: "+strings.TrimPrefix(server.URL, "http://")+"\nStatus: 403 Forbidden\nAnswer: AccessDenied: *** *** ***\n")
	fmt.Fprintf(&out, "%s\n", render(refused.diags))
	if cluster.BootstrapperRuns() > 0 {
		t.Error("the upgrade was begun")
	}
	done := p.apply(nil, upload(good, "x-amz-meta-of"))
	expect(t, done.diags, "")
	fmt.Fprintf(&out, "%s\n%s\n", render(done.diags), done.raw.MsgPack)
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, store.Object(t, "dtr.tar")) {
		t.Errorf("the store has another backup, error %v", err)
	}
	said := out.String()
	for _, secret := range []string{signed.RawQuery, signed.Query().Get("X-Amz-Signature"), token} {
		if i := strings.Index(said, secret); i >= 0 {
			t.Errorf("%q is in: %s", secret, said[max(0, i-200):min(len(said), i+200)])
		}
	}
	if !strings.Contains(said, "is uploaded to") {
		t.Error("the log does not say that the backup is uploaded")
	}
}

// TestPlanOnHCPTerraform holds that a plan there says what becomes of a backup that stays on the worker.
func TestPlanOnHCPTerraform(t *testing.T) {
	t.Setenv("TFC_RUN_ID", "run-0123456789abcdef")
	p := planner(t, start(t, "2.5.6"))
	file := filepath.Join(t.TempDir(), "dtr.tar")
	const warning = "Warning: The backup will be lost with the worker of HCP Terraform\n  at backup.file\n\nFile: "
	for name, c := range map[string]struct {
		config values
		want   bool
	}{
		"on the worker": {values{"target_version": "2.6.15", "backup": values{"file": file}}, true},
		"uploaded":      {values{"target_version": "2.6.15", "backup": values{"file": file, "upload": values{"url": "https://store.example.com"}}}, false},
		"not known":     {values{"target_version": "2.6.15", "backup": values{"file": file, "upload": unknown{}}}, false},
		"nothing due":   {values{"target_version": "2.5.6", "backup": values{"file": file}}, false},
	} {
		if text := render(p.plan(nil, c.config).diags); strings.Contains(text, warning+file+"\n") != c.want || strings.Contains(text, "Error: ") {
			t.Errorf("%s:\n%s", name, text)
		}
	}
}

// TestTerraformUpload applies a saved plan whose upload comes from an ephemeral variable. Neither the plan, nor the state, the output or the log has it.
func TestTerraformUpload(t *testing.T) {
	t.Parallel()
	store := s3test.Start(t)
	cluster := start(t, "2.5.6")
	stored := false
	cluster.At(simulator.BootstrapperStarted, func() { stored = store.Object(t, "dtr.tar") != nil })
	p := newProcess(t)
	p.connect(cluster)
	file := filepath.Join(p.dir.Path, "dtr.tar")
	p.write(connectionConfig + `
		terraform {
		  required_providers {
		    dtr = { source = "dtr-upgrade/dtr" }
		  }
		}
		variable "upload_url" {
		  type      = string
		  sensitive = true
		  ephemeral = true
		}
		resource "dtr_upgrade" "this" {
		  target_version = "2.6.15"
		  backup = {
		    file   = "` + file + `"
		    upload = { url = var.upload_url }
		  }
		}`)
	log, plan := filepath.Join(p.dir.Path, "terraform.log"), filepath.Join(p.dir.Path, "saved")
	var said strings.Builder
	run := func(upload string, args ...string) {
		t.Helper()
		cmd := p.dir.Command(t.Context(), args...)
		cmd.Env = append(cmd.Env, "TF_VAR_upload_url="+upload, "TF_LOG_PROVIDER=TRACE", "TF_LOG_PATH="+log)
		out, err := cmd.CombinedOutput()
		said.Write(out)
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	version, err := p.dir.Command(t.Context(), "version").Output()
	must(err)
	if before := regexp.MustCompile(`^Terraform v1\.([89]|10)\.`); before.Match(version) { // would store it, and is refused
		if out, _ := p.dir.Command(t.Context(), "validate", "-no-color").CombinedOutput(); !strings.Contains(string(out), "Terraform 1.11 and later") {
			t.Errorf("got:\n%s", out)
		}
		return
	}
	first, second := store.Presigned(t, "dtr.tar", time.Now().Add(-time.Minute)), store.Presigned(t, "dtr.tar", time.Now())
	run(first, "plan", "-no-color", "-input=false", "-out="+plan)
	run(second, "show", "-json", plan)
	run(second, "apply", "-no-color", "-input=false", "-lock=false", plan)
	if !stored || len(store.Puts()) != 1 {
		t.Errorf("in the store when the first hop began: %t; sent %d times", stored, len(store.Puts()))
	}
	run(second, "plan", "-no-color", "-input=false", "-detailed-exitcode")
	for _, name := range []string{log, p.state, plan} {
		text, err := os.ReadFile(name)
		must(err)
		said.Write(text)
	}
	for _, u := range []string{first, second} {
		signed, err := url.Parse(u)
		must(err)
		if i := strings.Index(said.String(), signed.Query().Get("X-Amz-Signature")); i >= 0 {
			t.Errorf("the signature is in: %s", said.String()[max(0, i-200):min(said.Len(), i+200)])
		}
	}
	if !strings.Contains(said.String(), "is uploaded to") {
		t.Error("the log was not read")
	}
}

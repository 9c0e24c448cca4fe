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
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-log/tflogtest"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/clustertest"
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
	if text := render(p.linked(old.Diagnostics)); !strings.Contains(text, "Error: ") || !strings.Contains(text, "Terraform 1.11 and later") || strings.Contains(text, "s3cret") {
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
	var out clustertest.Log
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
	for _, uploaded := range []bool{false, true} {
		config := values{"file": file}
		if uploaded {
			config["upload"] = values{"url": "https://store.example.com"}
		}
		if text := render(p.planAction("dtr_backup", config)); strings.Contains(text, strings.Replace(warning, "backup.file", "file", 1)+file+"\n") == uploaded {
			t.Errorf("of the action, uploaded %t:\n%s", uploaded, text)
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
	if p.storesUploads() {
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

// TestBackupAction takes backups by the action, and holds what is said where that fails.
func TestBackupAction(t *testing.T) {
	t.Parallel()
	const again = "\n\nTerraform does not run a triggered action again by itself. To run it: terraform apply -invoke=action.dtr_backup.<name>\n"
	store := s3test.Start(t)
	cluster := start(t, "2.5.6")
	p := planner(t, cluster)
	dir := t.TempDir()
	file, other := filepath.Join(dir, "dtr.tar"), filepath.Join(dir, "other.tar")
	said, diags := p.invoke("dtr_backup", values{"file": file, "upload": values{"url": store.Presigned(t, "dtr.tar", time.Now())}}, nil)
	expect(t, diags, "")
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, store.Object(t, "dtr.tar")) || len(got) == 0 {
		t.Errorf("the store has another backup, error %v", err)
	}
	if text := strings.Join(said, "\n"); len(said) != 4 || !strings.HasPrefix(text, "A backup of DTR 2.5.6 is written to "+file) || strings.Contains(text, "X-Amz") {
		t.Errorf("said %q", said)
	}
	p.ok(nil, p.planAction("dtr_backup", values{"file": other, "upload": unknown{}, "image": values{"repository": "docker/dtr"}}))
	_, diags = p.invoke("dtr_backup", values{"file": other, "image": values{"repository": "docker/dtr", "pull": "always"}}, nil)
	expect(t, diags, "")
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
	third := filepath.Join(dir, "third.tar")
	for name, c := range map[string]struct {
		config values
		want   []string
	}{
		"file exists": {values{"file": file}, []string{"Error: The file of the backup exists already\n  at file\n\nFile: " + file + "\n\nNo file is overwritten.", again}},
		"expired": {
			values{"file": third, "upload": values{"url": store.Presigned(t, "third.tar", time.Now().Add(-2*time.Hour))}},
			[]string{"Error: The backup of DTR was not uploaded\n  at upload\n\nFile: " + third, "Status: 403 Forbidden", "move it away and run the action again", again},
		},
		"no replica": {values{"file": filepath.Join(dir, "none.tar"), "existing_replica_id": "0123456789ab"}, []string{"DTR has no replica 0123456789ab", again}},
		"time limit": {values{"file": filepath.Join(dir, "none.tar"), "timeouts": values{"invoke": "1ns"}}, []string{"timeouts.invoke of 1ns passed", again}},
	} {
		_, diags := p.invoke("dtr_backup", c.config, nil)
		for _, want := range c.want {
			if text := render(diags); !strings.Contains(text, want) || strings.Contains(text, "hop") {
				t.Errorf("%s: got:\n%s\nwant %q", name, text, want)
			}
		}
	}
	for name, c := range map[string]struct {
		config values
		want   string
	}{
		"no file":  {values{}, "file"},
		"URL":      {values{"file": third, "upload": values{"url": "s3://s3cret"}}, "upload.url does not begin with https://"},
		"replica":  {values{"file": third, "existing_replica_id": "worker1"}, "Not a replica id"},
		"archives": {values{"file": third, "image": values{"archives": values{"2.5.6": file}, "digests": values{"2.5.6": "sha256:" + strings.Repeat("0", 64)}}}, "The digest of an image from an archive cannot be checked"},
	} {
		if text := render(p.planAction("dtr_backup", c.config)); !strings.Contains(text, "Error: ") || !strings.Contains(text, c.want) || strings.Contains(text, "s3cret") {
			t.Errorf("%s: got:\n%s\nwant %q", name, text, c.want)
		}
	}
	if n := cluster.BootstrapperRuns(); n > 0 {
		t.Errorf("%d runs of the bootstrapper", n)
	}
}

// TestUploadWithoutItsValues has the action get null for what the configuration sets, as Terraform 1.16 passes
// it with -invoke for what is ephemeral.
func TestUploadWithoutItsValues(t *testing.T) {
	t.Parallel()
	cluster := start(t, "2.5.6")
	p := planner(t, cluster)
	file := filepath.Join(t.TempDir(), "dtr.tar")
	for at, upload := range map[string]values{
		"upload.url":            {"url": nil},
		`upload.headers["x-b"]`: {"url": "https://store.example.com/dtr.tar", "headers": values{"x-a": "1", "x-b": nil}},
	} {
		p.ok(nil, p.planAction("dtr_backup", values{"file": file, "upload": values{"url": unknown{}}}))
		said, diags := p.invokeUnplanned("dtr_backup", values{"file": file, "upload": upload}, nil)
		expect(t, diags, "Error: A value of the upload did not reach the action\n  at "+at+"\n\n"+at+` is null. No backup was begun.

Terraform 1.16 passes no ephemeral value to an action that is run with -invoke. There, declare the variable with sensitive = true and without ephemeral: terraform apply -invoke writes the value to no state and no plan file. Or have a change trigger the action. If the variable is not ephemeral, give it a value.

Terraform does not run a triggered action again by itself. To run it: terraform apply -invoke=action.dtr_backup.<name>
`)
		if len(said) > 0 {
			t.Errorf("%s: said %q", at, said)
		}
	}
	onlyReads(t, cluster)
}

// TestUploadOfAnActionIsWriteOnly holds that Terraform is told so of what it holds: it keeps an ephemeral URL out
// of the plan then. Of the whole it is not: Terraform refuses one that is ephemeral, which it would drop.
func TestUploadOfAnActionIsWriteOnly(t *testing.T) {
	t.Parallel()
	p := newProtocol(t)
	for _, a := range p.schemas.ActionSchemas["dtr_backup"].Schema.Block.Attributes {
		if a.WriteOnly {
			t.Errorf("%s is write-only", a.Name)
		}
		if a.NestedType == nil {
			continue
		}
		for _, inner := range a.NestedType.Attributes {
			if inner.WriteOnly != (a.Name == "upload") {
				t.Errorf("%s.%s: write-only %t", a.Name, inner.Name, inner.WriteOnly)
			}
		}
	}
}

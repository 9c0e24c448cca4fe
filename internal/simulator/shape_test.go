package simulator_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator"
	"github.com/dtr-upgrade/terraform-provider-dtr/internal/simulator/simulatortest"
)

// shapes are the objects of the vendor's API description: keys with their
// types, where []T is an array of T, {}T an object with values of T, and ? a
// key that may be missing. A key in brackets came with that minor version.
var shapes = map[string]string{
	"Job": `id:string retryFromID:string workerID:string status:string scheduledAt:time lastUpdated:time action:string
		retriesLeft:int retriesTotal:int capacityMap:{}int parameters:{}string deadline:string stopTimeout:string`,
	"Jobs":    `jobs:[]Job`,
	"JobLog":  `data:string lineNum:int`,
	"Worker":  `id:string status:string capacityMap:{}int heartbeatExpiration:string`,
	"Workers": `workers:[]Worker`,
	"ClusterStatus": `replica_health:{}string replica_timestamp:{}string replica_readonly:{}bool gc_lock_holder:string
		rethink_system_tables:Tables`,
	"Tables": `cluster_config:[]any current_issues:[]any db_config:[]any server_status:[]any stats:[]any table_config:[]any table_status:[]any`,
	"Features": `db_version:int metadataStoreOptedIn:bool mirroringLicensed:bool onlineGCEnabled:bool promotionLicensed:bool
		scanningEnabled:bool scanningLicensed:bool ucpHost:string`,
	"ScanStatus": `db_updated_at:time db_version:int lastDBUpdateFailed:bool lastVulnOverridesDBUpdateFailed:bool
		replicas?:{}Scanner scannerUpdatedAt:time scanner_version:int state:int`,
	"Scanner":         `scannerType:int version:[]string`,
	"ContentCache":    `id:string name:string host:string`,
	"ReplicaSettings": `HTTPPort:int HTTPSPort:int node:string`,
	"Settings": `anonymizeAnalytics:bool createRepositoryOnPush:bool disableBackupWarning:bool dtrHost:string httpProxy:string
		httpsProxy:string jobHistoryToKeep:int logHost:string logLevel:string logProtocol:string nfsHost:string nfsPath:string
		noProxy:string replicaID:string replicaSettings:{}ReplicaSettings reportAnalytics:bool scanningEnableAutoRecheck:bool
		scanningEnabled:bool scanningSyncOnline:bool sso:bool storageVolume:string webTLSCA:string webTLSCert:string
		[2.6]disableUpgrades:bool [2.6]jobHistoryCompactionEnabled:bool [2.6]jobHistoryMaxAge:string [2.6]readOnlyRegistry:bool
		[2.6]repoEventHistoryCompactionEnabled:bool [2.6]repoEventHistoryMaxAge:string [2.6]repoEventHistoryToKeep:int
		[2.6]scanningDeadline:int [2.7]clientCertAuthEnabled:bool [2.7]disablePersistentCookies:bool [2.7]webTLSClientCA:string`,
	"Alert":       `message:string class?:string id?:string img?:string url?:string`,
	"APIToken":    `createdAt:time creatorUa:string generatedBy:string hashedToken:string isActive:bool lastUsed:time tokenLabel:string`,
	"NewAPIToken": `createdAt:time creatorUa:string generatedBy:string hashedToken:string isActive:bool lastUsed:time token:string tokenLabel:string`,
	"Errors":      `errors:[]Error`,
	"Error":       `code:string message:string`,
	"Docs":        `swagger:string info:Info paths:any`,
	"Info":        `title:string version:string`,
	"Ping":        `Error:string Healthy:bool`,
}

// mismatches lists how a value differs from a type, in the minor version.
func mismatches(at, typ, minor string, v any) []string {
	wrong := func(ok bool) []string {
		if ok {
			return nil
		}
		return []string{fmt.Sprintf("%s: %v is not %s", at, v, typ)}
	}
	if element, ok := strings.CutPrefix(typ, "[]"); ok {
		list, ok := v.([]any)
		out := wrong(ok)
		for i, item := range list {
			out = append(out, mismatches(fmt.Sprintf("%s[%d]", at, i), element, minor, item)...)
		}
		return out
	}
	if element, ok := strings.CutPrefix(typ, "{}"); ok {
		object, ok := v.(map[string]any)
		out := wrong(ok)
		for k, item := range object {
			out = append(out, mismatches(at+"."+k, element, minor, item)...)
		}
		return out
	}
	switch typ {
	case "any":
		return nil
	case "bool":
		_, ok := v.(bool)
		return wrong(ok)
	case "string":
		_, ok := v.(string)
		return wrong(ok)
	case "int":
		n, ok := v.(float64)
		return wrong(ok && n == float64(int64(n)))
	case "time":
		s, _ := v.(string)
		_, err := time.Parse(time.RFC3339Nano, s)
		return wrong(err == nil)
	}
	object, ok := v.(map[string]any)
	if !ok {
		return wrong(false)
	}
	var out, known []string
	for field := range strings.FieldsSeq(shapes[typ]) {
		if since, rest, ok := strings.Cut(strings.TrimPrefix(field, "["), "]"); ok && strings.HasPrefix(field, "[2") {
			if field = rest; since > minor {
				continue
			}
		}
		key, typ, _ := strings.Cut(field, ":")
		key, optional := strings.CutSuffix(key, "?")
		known = append(known, key)
		item, there := object[key]
		switch {
		case there:
			out = append(out, mismatches(at+"."+key, typ, minor, item)...)
		case !optional:
			out = append(out, at+"."+key+" is missing")
		}
	}
	for key := range object {
		if !slices.Contains(known, key) {
			out = append(out, at+"."+key+" is not in the description")
		}
	}
	return out
}

func TestAnswersHaveTheShapesOfTheVendorsDescription(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"2.5.6", "2.6.8", "2.7.4"} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			c := simulatortest.Start(t, simulator.Options{Version: version})
			a := newAPI(t, c)
			minor := version[:3]
			check := func(typ string, status int, got answer) {
				t.Helper()
				if got.status != status {
					t.Errorf("%s: status %d: %s", typ, got.status, got.body)
				}
				var v any
				if err := json.Unmarshal(got.body, &v); err != nil {
					t.Fatalf("%s: %v", typ, err)
				}
				for _, m := range mismatches(typ, typ, minor, v) {
					t.Error(m)
				}
			}
			submitted := a.post("/api/v0/jobs", `{"action":"update_vuln_db","parameters":{"a":"b"}}`)
			check("Job", http.StatusAccepted, submitted)
			var job simulator.Job
			submitted.decode(t, &job)
			check("Job", http.StatusOK, a.get("/api/v0/jobs/"+job.ID, nil))
			check("Jobs", http.StatusOK, a.get("/api/v0/jobs", nil))
			check("[]JobLog", http.StatusOK, a.get("/api/v0/jobs/"+job.ID+"/logs", nil))
			check("Workers", http.StatusOK, a.get("/api/v0/workers", nil))
			check("ClusterStatus", http.StatusOK, a.get("/api/v0/meta/cluster_status", nil))
			check("Features", http.StatusOK, a.get("/api/v0/meta/features", nil))
			check("Settings", http.StatusOK, a.get("/api/v0/meta/settings", nil))
			check("ScanStatus", http.StatusOK, a.get("/api/v0/imagescan/status", nil))
			if got := do(t, a.h, a.request(http.MethodPut, updatePath+"?online=true", "")); got.status != http.StatusOK || len(got.body) > 0 {
				t.Errorf("the update of the vulnerability database answers %d %s", got.status, got.body)
			}
			check("ContentCache", http.StatusCreated, a.post("/api/v0/content_caches", `{"name":"n","host":"https://cache.example.com"}`))
			check("[]ContentCache", http.StatusOK, a.get("/api/v0/content_caches", nil))
			check("NewAPIToken", http.StatusOK, a.post("/api/v0/api_tokens?username="+c.Username(), `{"tokenLabel":"l"}`))
			check("[]APIToken", http.StatusOK, a.get("/api/v0/api_tokens", nil))
			check("Docs", http.StatusOK, a.get("/api/v0/docs.json", nil))
			check("Ping", http.StatusOK, a.get("/_ping", nil))
			if alerts := a.get("/api/v0/meta/alerts", nil); minor == "2.5" {
				check("Errors", http.StatusNotFound, alerts)
			} else {
				check("[]Alert", http.StatusOK, alerts)
			}
			check("Errors", http.StatusNotFound, a.get("/api/v0/jobs/no-such-job", nil))
		})
	}
}

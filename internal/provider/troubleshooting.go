package provider

import (
	"regexp"
	"slices"
	"strings"
	"sync"
)

// troubleshootingPage has a heading for each summary of an error.
const troubleshootingPage = "https://github.com/dtr-upgrade/terraform-provider-dtr/blob/main/docs/guides/troubleshooting.md"

// troubleshooting are the page's headings. Words in capitals stand for what an error
// names.
var troubleshooting = []string{
	"DTR cannot be downgraded",
	"DTR minor versions cannot be skipped",
	"DTR major versions cannot be skipped",
	"A new DTR major version starts at its first release",
	"DTR pre-releases cannot be upgraded",
	"The release notes rule out this DTR upgrade",
	"This DTR upgrade is not supported",
	"DTR before VERSION is not supported",
	"Finish the interrupted DTR upgrade first",
	"The stops of an upgrade must ascend",
	"A stop is listed twice",
	"DTR is not at the version that the state was read with",
	"The version of container NAME is not known",
	"The versions of NUMBER containers are not known",
	"Another DTR bootstrapper is running",
	"A container claims an upgrade that it cannot have made",
	"An upgrade to another version is running",
	"An upgrade of the cluster is running",
	"An upgrade of the cluster is not finished",
	"A replica is joining or leaving the cluster",
	"A backup of the cluster is being taken",
	"A DTR bootstrapper is on a node that is down",
	"Replica ID is not healthy",
	"Replica ID does not report its health",
	"The health report of replica ID is stale",
	"Containers of replica ID do not run",
	"Node NODE of replica ID is down",
	"UCP shows no container of replica ID",
	"UCP shows no replica of DTR",
	"The cluster has no replica ID",
	"DTR's address does not tell DTR's health",
	"DTR says at its address that it is not healthy",
	"A garbage collection is running",
	"Too little memory for the upgrade",
	"UCP requires signed images",
	"An earlier migration has failed",
	"A migration job has an unknown status",
	"The cluster is not at one version",
	"The version of the cluster is not known",
	"The cluster has changed since it was looked at",
	"The cluster is not whole any more",
	"The maintenance window is closed",
	"Images of DTR VERSION are not available",
	"Images could not be pulled",
	"Images could not be loaded",
	"The image archive of DTR VERSION cannot be used",
	"The image that takes the backup is not available",
	"The bootstrapper's image does not have the expected digest",
	"The digest of an image from an archive cannot be checked",
	"The backup of DTR failed",
	"The backup of DTR was not uploaded",
	"A value of the upload did not reach the action",
	"The file of the backup exists already",
	"The backup cannot be written",
	"The upgrade was tried before there was a backup",
	"The DTR bootstrapper failed",
	"The DTR bootstrapper's container was removed",
	"Another container has the name of the bootstrapper's",
	"A container is in the way of the bootstrapper's",
	"The name of the bootstrapper's container is taken",
	"The node NODE of the bootstrapper is down",
	"The bootstrapper is on another Docker Engine",
	"NAME is not completely at VERSION",
	"The migration job ACTION failed",
	"The migration job ACTION has an unknown status",
	"DTR did not start the migration job ACTION",
	"Terraform was interrupted",
	"Terraform stopped before a backup of DTR was complete",
	"Terraform stopped before the DTR upgrade was begun",
	"Terraform stopped before the DTR upgrade was finished",
	"Terraform stopped waiting for the DTR upgrade",
	"Terraform stopped waiting for the migration job",
	"Terraform stopped waiting for the maintenance window",
	"Terraform stopped waiting for a replica to join on node NODE",
	"Terraform stopped waiting for the removal of replica ID",
	"Terraform stopped waiting for content cache NAME",
	"Terraform stopped waiting for a job of DTR",
	"UCP has no node NAME",
	"Node NODE is not ready",
	"Node NODE takes no new containers",
	"Node NODE is a manager",
	"Node NODE runs Windows",
	"Node NODE has a replica already",
	"The cluster has NUMBER replicas already",
	"Replica ID is the last one",
	"The removal of replica ID would break the quorum",
	"Replica ID was not removed, since its node is down",
	"Replica ID is not as its join was to leave it",
	"A join that failed has left containers",
	"The cluster is not complete with the replica on node NODE",
	"The cluster is not complete without replica ID",
	"The replica is gone again",
	"The ports of a replica are set when it joins",
	"The name of the content cache is taken",
	"The cache's NAME was not found",
	"Several nodes have a container of that name",
	"A container is left over from a replacement",
	"The node of the content cache is down",
	"The container of the content cache cannot be replaced",
	"The KIND NAME does not run IMAGE",
	"The content cache does not answer",
	"The certificate of the content cache is not trusted",
	"It is not known whether DTR registered the content cache",
	"Several content caches have that name",
	"There is no such content cache",
	"A content cache is run by a service or by a container",
	"It is not said what runs the content cache",
	"The job ACTION failed",
	"The job ACTION has an unknown status",
	"The outcome of the job ACTION is not known",
	"It is not known whether DTR started a job",
	"DTR has no such job",
	"Image scanning is not enabled in DTR",
	"The vulnerability database could not be updated",
	"The vulnerability database is being updated",
	"The update of the vulnerability database has stopped",
	"The update of the vulnerability database has an unknown status",
	"DTR's scanner does not become ready",
	"The vulnerability database's file cannot be read",
	"The provider is connected to another DTR cluster",
	"The provider is not connected",
	"A setting of the provider is missing",
	"The environment variable NAME cannot be used",
	"There is no DTR at the configured address",
	"There is no UCP at the configured address",
	"DTR refuses the user name or the password",
	"UCP refuses the user name or the password",
	"The DTR user is not an administrator",
	"The UCP user is not an administrator",
	"Something at the address of DTR refuses the request",
	"Something in front of UCP refuses the request",
	"UCP ends each session before it is used",
	"The certificate of SERVICE is not trusted",
	"The address redirects to another page",
	"The address redirects to another host",
	"SERVICE does not answer",
	"SERVICE sent an unexpected response",
	"SERVICE answers with an error",
	"The registry does not list the tags of the repository",
	"Not VALUE",
	"A value is null",
	"An attribute needs another one",
	"The cluster could not be worked on",
	"Provider data of an unexpected type",
	"Not all KIND are shown",
}

var placeholder = regexp.MustCompile(`\b(ACTION|ID|IMAGE|KIND|NAME|NODE|NUMBER|SERVICE|VALUE|VERSION)\b`)

// summaryPatterns are patterns for the summaries of each heading, the longest heading first: it says most.
var summaryPatterns = sync.OnceValue(func() (patterns []summaryPattern) {
	headings := slices.Clone(troubleshooting)
	slices.SortStableFunc(headings, func(a, b string) int { return len(b) - len(a) })
	for _, h := range headings {
		of := "^" + placeholder.ReplaceAllString(regexp.QuoteMeta(h), ".+") + "$"
		patterns = append(patterns, summaryPattern{h, regexp.MustCompile(of)})
	}
	return patterns
})

type summaryPattern struct {
	heading string
	of      *regexp.Regexp
}

// heading is that of the page for the summary of an error, "" where there is none.
func heading(summary string) string {
	for _, p := range summaryPatterns() {
		if p.of.MatchString(summary) {
			return p.heading
		}
	}
	return ""
}

var notInAnchor = regexp.MustCompile(`[^a-z0-9 -]`)

// anchor is that of a heading, as GitHub and the registry make it.
func anchor(heading string) string {
	return strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(heading), ""), " ", "-")
}

// troubleshootingLink is the last line of an error, "" where the page has nothing about it.
func troubleshootingLink(summary string) string {
	h := heading(summary)
	if h == "" {
		return ""
	}
	return "\n\nMore: " + troubleshootingPage + "#" + anchor(h)
}

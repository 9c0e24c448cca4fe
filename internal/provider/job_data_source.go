package provider

import (
	"context"
	"maps"

	"github.com/hashicorp/terraform-plugin-framework/datasource"
	"github.com/hashicorp/terraform-plugin-framework/datasource/schema"
	"github.com/hashicorp/terraform-plugin-framework/path"
	"github.com/hashicorp/terraform-plugin-framework/schema/validator"
	"github.com/hashicorp/terraform-plugin-framework/types"

	"github.com/dtr-upgrade/terraform-provider-dtr/internal/dtr"
)

// defaultJobs is how many jobs DTR itself lists unless asked for more.
const defaultJobs = 10

var (
	_ datasource.DataSourceWithConfigure = (*jobDataSource)(nil)
	_ datasource.DataSourceWithConfigure = (*jobsDataSource)(nil)
)

// jobModel is a job as both data sources show it.
type jobModel struct {
	ID           string            `tfsdk:"id"`
	RetryFromID  string            `tfsdk:"retry_from_id"`
	WorkerID     types.String      `tfsdk:"worker_id"`
	Action       string            `tfsdk:"action"`
	Status       string            `tfsdk:"status"`
	Phase        string            `tfsdk:"phase"`
	ScheduledAt  types.String      `tfsdk:"scheduled_at"`
	LastUpdated  types.String      `tfsdk:"last_updated"`
	RetriesLeft  int64             `tfsdk:"retries_left"`
	RetriesTotal int64             `tfsdk:"retries_total"`
	Parameters   map[string]string `tfsdk:"parameters"`
	CapacityMap  map[string]int64  `tfsdk:"capacity_map"`
	Deadline     string            `tfsdk:"deadline"`
	StopTimeout  string            `tfsdk:"stop_timeout"`
}

func newJobModel(j dtr.Job) jobModel {
	capacity := map[string]int64{}
	for name, n := range j.CapacityMap {
		capacity[name] = int64(n)
	}
	parameters := j.Parameters
	if parameters == nil {
		parameters = map[string]string{}
	}
	return jobModel{
		ID: j.ID, RetryFromID: j.RetryFromID, WorkerID: textOrNull(j.WorkerID), Action: j.Action,
		Status: string(j.Status), Phase: phaseWord(j.Status), ScheduledAt: timeValue(j.ScheduledAt), LastUpdated: timeValue(j.LastUpdated),
		RetriesLeft: int64(j.RetriesLeft), RetriesTotal: int64(j.RetriesTotal),
		Parameters: parameters, CapacityMap: capacity, Deadline: j.Deadline, StopTimeout: j.StopTimeout,
	}
}

// phaseWord sums up what the releases of DTR have more than one word for.
func phaseWord(s dtr.JobStatus) string {
	switch phase, _ := s.Phase(); phase {
	case dtr.PhaseWaiting:
		return "waiting"
	case dtr.PhaseRunning:
		return "running"
	case dtr.PhaseDone:
		return "done"
	case dtr.PhaseFailed:
		return "failed"
	case dtr.PhaseStopped:
		return "stopped"
	}
	return "unknown"
}

func textOrNull(s string) types.String {
	if s == "" {
		return types.StringNull()
	}
	return types.StringValue(s)
}

// jobAttributes are those of a job.
func jobAttributes() map[string]schema.Attribute {
	return map[string]schema.Attribute{
		"id":            computedText("The job's id."),
		"retry_from_id": computedText("The id of the job that this one retries; its own for a first attempt."),
		"worker_id":     computedText("The replica that runs the job, or ran it; null while the job waits for a worker."),
		"action":        computedText("What the job does, such as `onlinegc`."),
		"status":        computedText("The job's status as DTR reports it; the names differ between releases."),
		"phase":         computedText("What the status means: `waiting`, `running`, `done`, `failed`, `stopped` (canceled or deleted), or `unknown` for a status that is not documented."),
		"scheduled_at":  computedText("When the job was scheduled (RFC 3339, UTC)."),
		"last_updated":  computedText("When its status last changed (RFC 3339, UTC)."),
		"retries_left":  computedNumber("How often DTR still retries the job if it fails."),
		"retries_total": computedNumber("How many retries the first attempt had."),
		"parameters":    schema.MapAttribute{Computed: true, ElementType: types.StringType, MarkdownDescription: "What the job was started with."},
		"capacity_map":  schema.MapAttribute{Computed: true, ElementType: types.Int64Type, MarkdownDescription: "The capacity that the job needs of its worker."},
		"deadline":      computedText("How long the job may run, as DTR writes it; empty for no limit."),
		"stop_timeout":  computedText("How long the job may take to stop, as DTR writes it; empty for no limit."),
	}
}

type jobDataSource struct{ dataSource }

func newJobDataSource() datasource.DataSource { return &jobDataSource{dataSource{suffix: "_job"}} }

type jobDataModel struct {
	jobModel
	LogLines types.Int64 `tfsdk:"log_lines"`
	Log      types.List  `tfsdk:"log"`
}

func (d *jobDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	attributes := jobAttributes()
	maps.Copy(attributes, map[string]schema.Attribute{
		"id": schema.StringAttribute{
			Required:            true,
			MarkdownDescription: "The job's id, as DTR shows it under System > Job Logs and as `dtr_jobs` lists it.",
			Validators:          []validator.String{notEmpty()},
		},
		"log_lines": schema.Int64Attribute{
			Optional:            true,
			MarkdownDescription: "How many of the last lines of the job's log are read; none by default.",
			Validators:          []validator.Int64{atLeast(1)},
		},
		"log": computedTexts("The last lines of the job's log; null without `log_lines`."),
	})
	resp.Schema = schema.Schema{MarkdownDescription: "One job of DTR's job queue, and the end of its log.", Attributes: attributes}
}

func (d *jobDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var id types.String
	var lines types.Int64
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("id"), &id)...)
	resp.Diagnostics.Append(req.Config.GetAttribute(ctx, path.Root("log_lines"), &lines)...)
	cluster, ok := d.cluster(&resp.Diagnostics)
	if !ok || resp.Diagnostics.HasError() {
		return
	}
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	job, err := cluster.DTR.Job(ctx, id.ValueString())
	m := jobDataModel{jobModel: newJobModel(job), LogLines: lines, Log: types.ListNull(types.StringType)}
	if err == nil && !lines.IsNull() {
		var log []string
		log, err = cluster.DTR.JobLogs(ctx, job.ID, int(lines.ValueInt64()))
		m.Log = texts(log)
	}
	if err != nil {
		resp.Diagnostics.Append(diagnose(notDTRError(ctx, cluster, err))...)
		return
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

type jobsDataSource struct{ dataSource }

func newJobsDataSource() datasource.DataSource { return &jobsDataSource{dataSource{suffix: "_jobs"}} }

type jobsDataModel struct {
	Action  types.String `tfsdk:"action"`
	Worker  types.String `tfsdk:"worker"`
	Running types.Bool   `tfsdk:"running"`
	Limit   types.Int64  `tfsdk:"limit"`
	Jobs    []jobModel   `tfsdk:"jobs"`
}

func (d *jobsDataSource) Schema(_ context.Context, _ datasource.SchemaRequest, resp *datasource.SchemaResponse) {
	resp.Schema = schema.Schema{
		MarkdownDescription: "The jobs of DTR's job queue, newest first.",
		Attributes: map[string]schema.Attribute{
			"action": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The action of the jobs, such as `metadatastoremigration`; any by default.",
				Validators:          []validator.String{jobAction()},
			},
			"worker": schema.StringAttribute{
				Optional:            true,
				MarkdownDescription: "The id of the replica that runs the jobs, or ran them; any by default.",
				Validators:          []validator.String{replicaID()},
			},
			"running": schema.BoolAttribute{
				Optional:            true,
				MarkdownDescription: "Whether a worker is running the jobs; either by default.",
			},
			"limit": schema.Int64Attribute{
				Optional:            true,
				MarkdownDescription: "How many jobs are listed at most, the newest first; `10` by default.",
				Validators:          []validator.Int64{atLeast(1)},
			},
			"jobs": schema.ListNestedAttribute{
				Computed:            true,
				MarkdownDescription: "The jobs, newest first. A job that DTR retries is listed once for each attempt.",
				NestedObject:        schema.NestedAttributeObject{Attributes: jobAttributes()},
			},
		},
	}
}

func (d *jobsDataSource) Read(ctx context.Context, req datasource.ReadRequest, resp *datasource.ReadResponse) {
	var m jobsDataModel
	resp.Diagnostics.Append(req.Config.Get(ctx, &m)...)
	cluster, ok := d.cluster(&resp.Diagnostics)
	if !ok || resp.Diagnostics.HasError() {
		return
	}
	filter := dtr.JobFilter{
		Action: m.Action.ValueString(), Worker: m.Worker.ValueString(), Running: m.Running.ValueBoolPointer(), Limit: defaultJobs,
	}
	if !m.Limit.IsNull() {
		filter.Limit = int(m.Limit.ValueInt64())
	}
	ctx, cancel := withTimeout(ctx, "read", defaultReadTimeout)
	defer cancel()
	jobs, err := cluster.DTR.Jobs(ctx, filter)
	if err != nil {
		resp.Diagnostics.Append(diagnose(notDTRError(ctx, cluster, err))...)
		return
	}
	m.Jobs = make([]jobModel, len(jobs))
	for i, j := range jobs {
		m.Jobs[i] = newJobModel(j)
	}
	resp.Diagnostics.Append(resp.State.Set(ctx, &m)...)
}

-- The published status of the data, the runs of the checks, and what is told of them.

create table quality_days (
    instrument text collate "C" not null,
    day date not null,
    status text not null,
    row_count bigint not null,
    completeness double precision,
    validity double precision,
    conformance double precision,
    freshness double precision,
    open_gaps integer not null,
    findings integer not null,
    anomalies integer not null,
    reasons text[] not null default '{}',
    computed_at timestamptz not null,
    constraint quality_days_key primary key (instrument, day),
    constraint quality_days_status_accepted check (status in ('available', 'degraded', 'pending', 'missing'))
);
comment on table quality_days is 'The published status of each instrument and day, with what it is made of.';
comment on column quality_days.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column quality_days.day is 'The day. [UTC day]';
comment on column quality_days.status is
'available: within its targets; degraded: not; pending: the day is not over, or waits; missing: expected, and nothing is held.';
comment on column quality_days.row_count is 'Trades held. [rows]';
comment on column quality_days.completeness is 'Of what there should be, how much is there, 0 to 1.';
comment on column quality_days.validity is 'Of the rows that came, how many keep every rule, 0 to 1.';
comment on column quality_days.conformance is 'Of the bars the venue publishes, how many are equal or explained, 0 to 1.';
comment on column quality_days.freshness is 'Of the looks at it that day, how many found it fresh, 0 to 1.';
comment on column quality_days.open_gaps is 'Gaps of that day that are open. [gaps]';
comment on column quality_days.findings is 'Findings of that day that are open and page. [findings]';
comment on column quality_days.anomalies is 'Anomalies of that day. [anomalies]';
comment on column quality_days.reasons is 'Why it is not available.';
comment on column quality_days.computed_at is 'When. [UTC]';
grant select on quality_days to rrr_analyst;
grant select, insert, update, delete on quality_days to rrr_writer;

create table stream_freshness (
    instrument text collate "C" not null,
    stream text collate "C" not null,
    last_event_time timestamptz,
    age_seconds double precision,
    limit_seconds double precision,
    is_fresh boolean,
    looks bigint not null default 0,
    fresh_looks bigint not null default 0,
    looked_at timestamptz not null,
    constraint stream_freshness_key primary key (instrument, stream)
);
comment on table stream_freshness is 'How old the newest row of each instrument''s streams was when it was last looked at.';
comment on column stream_freshness.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column stream_freshness.stream is 'trades, agg_trades, quotes or depth.';
comment on column stream_freshness.last_event_time is 'Of the newest row; null where nothing is held. [UTC]';
comment on column stream_freshness.age_seconds is 'How old that was. [s]';
comment on column stream_freshness.limit_seconds is 'From what age on it is not fresh; null: no freshness is promised. [s]';
comment on column stream_freshness.is_fresh is 'Whether it is fresh; null where none is promised.';
comment on column stream_freshness.looks is 'How often it was looked at on the day of the last look. [looks]';
comment on column stream_freshness.fresh_looks is 'How often it was fresh then. [looks]';
comment on column stream_freshness.looked_at is 'When. [UTC]';
grant select on stream_freshness to rrr_analyst;
grant select, insert, update, delete on stream_freshness to rrr_writer;

create table quality_runs (
    quality_run_id bigint generated always as identity not null,
    kind text not null,
    started_at timestamptz not null,
    finished_at timestamptz,
    days integer not null default 0,
    checks integer not null default 0,
    broken integer not null default 0,
    errors text[] not null default '{}',
    run_id text,
    constraint quality_runs_key primary key (quality_run_id),
    constraint quality_runs_kind_accepted check (kind in ('recent', 'daily'))
);
comment on table quality_runs is 'Every run of the checks: that it ran is what the watchdog asks.';
comment on column quality_runs.quality_run_id is 'The run''s number.';
comment on column quality_runs.kind is 'recent: every five minutes; daily: the full set.';
comment on column quality_runs.started_at is 'When it began. [UTC]';
comment on column quality_runs.finished_at is 'When it ended; null while it runs, or where it died. [UTC]';
comment on column quality_runs.days is 'Days that had changed, and were looked at. [days]';
comment on column quality_runs.checks is 'Rules that were asked. [rules]';
comment on column quality_runs.broken is 'Of them, broken. [rules]';
comment on column quality_runs.errors is 'Checks that broke down themselves: no pass, and no finding about the data.';
comment on column quality_runs.run_id is 'The Dagster run, where one did it.';
grant select on quality_runs to rrr_analyst;
grant select, insert, update, delete on quality_runs to rrr_writer;

create table validations (
    validation_id bigint generated always as identity not null,
    at timestamptz not null,
    relation text collate "C" not null,
    day date,
    is_success boolean not null,
    evaluated integer not null,
    unmet integer not null,
    results jsonb not null,
    seconds double precision not null,
    run_id text,
    constraint validations_key primary key (validation_id)
);
comment on table validations is 'Results of Great Expectations, a row for each table and validation.';
comment on column validations.validation_id is 'The validation''s number.';
comment on column validations.at is 'When. [UTC]';
comment on column validations.relation is 'The table.';
comment on column validations.day is 'The day that was validated; null for a table as a whole. [UTC day]';
comment on column validations.is_success is 'Whether every expectation was met.';
comment on column validations.evaluated is 'Expectations that were evaluated. [expectations]';
comment on column validations.unmet is 'Of them, not met. [expectations]';
comment on column validations.results is 'What Great Expectations said, expectation by expectation.';
comment on column validations.seconds is 'How long it took. [s]';
comment on column validations.run_id is 'The Dagster run, where one did it.';
grant select on validations to rrr_analyst;
grant select, insert on validations to rrr_writer;

create table alerts (
    alert_id bigint generated always as identity not null,
    cause text collate "C" not null,
    rule text collate "C" not null,
    severity text not null,
    title text not null,
    scope text collate "C" not null,
    since timestamptz not null,
    level bigint not null,
    told_level bigint not null default 0,
    next_step text not null,
    runbook text not null,
    link text,
    detail jsonb,
    state text not null,
    opened_at timestamptz not null,
    changed_at timestamptz not null,
    resolved_at timestamptz,
    constraint alerts_key primary key (alert_id),
    constraint alerts_severity_accepted check (severity in ('page', 'warn')),
    constraint alerts_state_accepted check (state in ('open', 'resolved'))
);
comment on table alerts is 'One row for each root cause that somebody was told of, or would have been but for a mute.';
comment on column alerts.alert_id is 'The alert''s number.';
comment on column alerts.cause is 'The root cause, as a stable key: what is open has one alert.';
comment on column alerts.rule is 'The rule, as severities and runbooks are named by it.';
comment on column alerts.severity is 'How it is told.';
comment on column alerts.title is 'What is wrong, in a line.';
comment on column alerts.scope is 'Where: instruments, tables, or the platform.';
comment on column alerts.since is 'Since when. [UTC]';
comment on column alerts.level is 'How bad, as a count that grows as it gets worse.';
comment on column alerts.told_level is 'How bad it was when it was last told.';
comment on column alerts.next_step is 'One command to begin with.';
comment on column alerts.runbook is 'The page of the runbook.';
comment on column alerts.link is 'Where it is seen in the UI.';
comment on column alerts.detail is 'What else is known of it.';
comment on column alerts.state is 'Whether it is wrong still.';
comment on column alerts.opened_at is 'When it was found. [UTC]';
comment on column alerts.changed_at is 'When this row last changed. [UTC]';
comment on column alerts.resolved_at is 'When it was over. [UTC]';
grant select on alerts to rrr_analyst;
grant select, insert, update, delete on alerts to rrr_writer;

create table alert_messages (
    message_id bigint generated always as identity not null,
    alert_id bigint not null,
    channel text collate "C" not null,
    kind text not null,
    level bigint not null,
    body jsonb not null,
    created_at timestamptz not null,
    not_before timestamptz not null,
    sent_at timestamptz,
    attempts integer not null default 0,
    last_error text,
    constraint alert_messages_key primary key (message_id),
    constraint alert_messages_kind_accepted check (kind in ('opened', 'worse', 'resolved')),
    constraint alert_messages_alerts foreign key (alert_id) references alerts (alert_id)
);
comment on table alert_messages is
'What is to be said of alerts, and to whom: written with the alert, sent once, kept until it could be sent.';
comment on column alert_messages.message_id is 'The message''s number.';
comment on column alert_messages.alert_id is 'The alert.';
comment on column alert_messages.channel is 'The channel, by the name it has in the settings.';
comment on column alert_messages.kind is 'What is said.';
comment on column alert_messages.level is 'How bad it was then.';
comment on column alert_messages.body is 'What is said, field by field.';
comment on column alert_messages.created_at is 'When it was written. [UTC]';
comment on column alert_messages.not_before is 'When it may be sent: later than it was written in quiet hours, and after a failure. [UTC]';
comment on column alert_messages.sent_at is 'When the channel took it; null while it waits. [UTC]';
comment on column alert_messages.attempts is 'How often it was tried. [attempts]';
comment on column alert_messages.last_error is 'Why the last attempt failed; without secrets.';
grant select on alert_messages to rrr_analyst;
grant select, insert, update, delete on alert_messages to rrr_writer;

create table alert_mutes (
    mute_id bigint generated always as identity not null,
    scope text collate "C" not null,
    rule text collate "C",
    from_time timestamptz not null,
    to_time timestamptz not null,
    reason text not null,
    placed_at timestamptz not null,
    placed_by text not null,
    ended_at timestamptz,
    constraint alert_mutes_key primary key (mute_id),
    constraint alert_mutes_window check (from_time < to_time)
);
comment on table alert_mutes is 'What nobody wants to be told of for a while: an outage that a venue announced.';
comment on column alert_mutes.mute_id is 'The mute''s number.';
comment on column alert_mutes.scope is 'An instrument, a venue, or * for everything.';
comment on column alert_mutes.rule is 'Only alerts of this rule; null: of every rule.';
comment on column alert_mutes.from_time is 'From when, inclusive. [UTC]';
comment on column alert_mutes.to_time is 'Until when, exclusive. [UTC]';
comment on column alert_mutes.reason is 'Why.';
comment on column alert_mutes.placed_at is 'When it was placed. [UTC]';
comment on column alert_mutes.placed_by is 'By whom.';
comment on column alert_mutes.ended_at is 'When it was ended early. [UTC]';
grant select on alert_mutes to rrr_analyst;
grant select, insert, update, delete on alert_mutes to rrr_writer;

-- What is looked for: what is open, what waits.
create index quality_days_day on quality_days (day);
create index quality_runs_ended on quality_runs (kind, finished_at);
create unique index alerts_open on alerts (cause) where state = 'open';
create unique index alert_messages_once on alert_messages (alert_id, channel, kind, level);
create index alert_messages_waiting on alert_messages (not_before) where sent_at is null;

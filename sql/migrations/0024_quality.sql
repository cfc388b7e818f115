-- What is known about the data's quality: gaps, findings, anomalies, baselines.

create table gaps (
    gap_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    stream text collate "C" not null,
    kind text not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    first_missing bigint,
    last_missing bigint,
    cause text collate "C" not null,
    state text not null,
    first_seen timestamptz not null,
    changed_at timestamptz not null,
    attempts integer not null default 0,
    next_attempt_at timestamptz,
    last_reason text,
    healed_at timestamptz,
    accepted_at timestamptz,
    accepted_by text,
    accepted_reason text,
    evidence jsonb not null,
    constraint gaps_key primary key (gap_id),
    constraint gaps_kind_accepted check (kind in ('ids', 'interval', 'file')),
    constraint gaps_cause_accepted check (cause in ('feed', 'venue_outage', 'file_missing', 'quarantined', 'unknown')),
    constraint gaps_state_accepted check (state in ('open', 'healing', 'healed', 'accepted')),
    constraint gaps_window check (from_time < to_time)
);
comment on table gaps is 'What is missing of a stream, once: ids that are not there, an interval nobody saw, or a file that never came.';
comment on column gaps.gap_id is 'The gap''s number.';
comment on column gaps.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column gaps.stream is 'trades, agg_trades, quotes, depth, or venue_bars_<interval>.';
comment on column gaps.kind is
'ids: exactly these ids; interval: whatever happened in it; file: a day that was expected and of which nothing is held.';
comment on column gaps.from_time is 'From when it may be missing, inclusive. [UTC]';
comment on column gaps.to_time is 'Until when, exclusive. [UTC]';
comment on column gaps.first_missing is 'First id that is not there; null where ids tell nothing.';
comment on column gaps.last_missing is 'Last id that is not there, itself missing.';
comment on column gaps.cause is 'Why it is missing, as far as that is known.';
comment on column gaps.state is 'Whether it is missing still, being fetched, there by now, or accepted.';
comment on column gaps.first_seen is 'When it was found. [UTC]';
comment on column gaps.changed_at is 'When this row last changed. [UTC]';
comment on column gaps.attempts is 'How often it was tried to fetch it. [attempts]';
comment on column gaps.next_attempt_at is 'Not to be tried again before; null: at once. [UTC]';
comment on column gaps.last_reason is 'Why the last attempt did not heal it.';
comment on column gaps.healed_at is 'When all of it was there. [UTC]';
comment on column gaps.accepted_at is 'When it was accepted as it is. [UTC]';
comment on column gaps.accepted_by is 'By whom.';
comment on column gaps.accepted_reason is 'Why.';
comment on column gaps.evidence is 'What it was seen by: the rows on both sides, the file, the rate of trading, how likely silence was.';
grant select on gaps to rrr_analyst;
grant select, insert, update, delete on gaps to rrr_writer;

create table gap_attempts (
    attempt_id bigint generated always as identity not null,
    gap_id bigint not null,
    at timestamptz not null,
    source text not null,
    outcome text not null,
    reason text,
    rows_fetched bigint not null,
    seconds double precision not null,
    run_id text,
    constraint gap_attempts_key primary key (attempt_id),
    constraint gap_attempts_outcome_accepted check (outcome in ('healed', 'partly', 'failed')),
    constraint gap_attempts_gaps foreign key (gap_id) references gaps (gap_id)
);
comment on table gap_attempts is 'Every attempt to fetch what a gap misses, with what came of it. Append-only.';
comment on column gap_attempts.attempt_id is 'The attempt''s number.';
comment on column gap_attempts.gap_id is 'The gap.';
comment on column gap_attempts.at is 'When it ended. [UTC]';
comment on column gap_attempts.source is 'The source that was asked, by the name it has in the settings.';
comment on column gap_attempts.outcome is 'What came of it.';
comment on column gap_attempts.reason is 'Why it did not heal the gap.';
comment on column gap_attempts.rows_fetched is 'Rows that the source sent of it. [rows]';
comment on column gap_attempts.seconds is 'How long it took. [s]';
comment on column gap_attempts.run_id is 'The Dagster run, where one did it.';
grant select on gap_attempts to rrr_analyst;
grant select, insert on gap_attempts to rrr_writer;

create table findings (
    finding_id bigint generated always as identity not null,
    rule text collate "C" not null,
    severity text not null,
    relation text collate "C" not null,
    instrument text collate "C",
    day date,
    from_time timestamptz,
    to_time timestamptz,
    broken bigint not null,
    examined bigint not null,
    examples text[] not null default '{}',
    detail jsonb,
    state text not null,
    first_seen timestamptz not null,
    last_seen timestamptz not null,
    resolved_at timestamptz,
    run_id text,
    constraint findings_key primary key (finding_id),
    constraint findings_severity_accepted check (severity in ('page', 'warn')),
    constraint findings_state_accepted check (state in ('open', 'resolved')),
    constraint findings_window check (from_time < to_time)
);
comment on table findings is 'A rule that the data breaks, from when it was found until it is kept again.';
comment on column findings.finding_id is 'The finding''s number.';
comment on column findings.rule is
'The rule, as a stable word: duplicate, null, order, key, crossed_book, frozen_feed, unexplained_bar, ...';
comment on column findings.severity is 'page: a hard defect; warn: worth a look.';
comment on column findings.relation is 'The table, or the stream.';
comment on column findings.instrument is 'Venue and symbol, as in binance:BTCUSDT; null where it is of none alone.';
comment on column findings.day is 'The day it was found on; null where it is of no day. [UTC day]';
comment on column findings.from_time is 'From when, inclusive. [UTC]';
comment on column findings.to_time is 'Until when, exclusive. [UTC]';
comment on column findings.broken is 'How many rows break it. [rows]';
comment on column findings.examined is 'Out of how many. [rows]';
comment on column findings.examples is 'Some of them.';
comment on column findings.detail is 'What was measured.';
comment on column findings.state is 'Whether it is broken still.';
comment on column findings.first_seen is 'When it was found first. [UTC]';
comment on column findings.last_seen is 'When it was last found. [UTC]';
comment on column findings.resolved_at is 'When it was kept again. [UTC]';
comment on column findings.run_id is 'The Dagster run, where one did it.';
grant select on findings to rrr_analyst;
grant select, insert, update, delete on findings to rrr_writer;

create table anomalies (
    anomaly_id bigint generated always as identity not null,
    rule text collate "C" not null,
    relation text collate "C" not null,
    instrument text collate "C" not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    value double precision not null,
    expected double precision,
    score double precision not null,
    threshold double precision not null,
    baseline_version bigint,
    detail jsonb,
    found_at timestamptz not null,
    constraint anomalies_key primary key (rule, relation, instrument, from_time),
    constraint anomalies_window check (from_time < to_time)
);
comment on table anomalies is 'A value that is unlikely by a threshold or by what was learned: worth a look, and no proof of a defect.';
comment on column anomalies.anomaly_id is 'The anomaly''s number.';
comment on column anomalies.rule is 'By what: price_change, return_z, volume_spike, silence, or seasonal_<metric>.';
comment on column anomalies.relation is 'The table that was looked at.';
comment on column anomalies.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column anomalies.from_time is 'From when, inclusive. [UTC]';
comment on column anomalies.to_time is 'Until when, exclusive. [UTC]';
comment on column anomalies.value is 'What was measured, in the rule''s unit.';
comment on column anomalies.expected is 'What was usual then, in the same unit.';
comment on column anomalies.score is 'How far from it, in robust standard deviations or as a ratio.';
comment on column anomalies.threshold is 'From what score on it is a row here.';
comment on column anomalies.baseline_version is 'By which baseline; null for a threshold.';
comment on column anomalies.detail is 'What else is known of it.';
comment on column anomalies.found_at is 'When it was found first. [UTC]';
grant select on anomalies to rrr_analyst;
grant select, insert, update, delete on anomalies to rrr_writer;

create table baseline_versions (
    version bigint generated always as identity not null,
    learned_at timestamptz not null,
    from_day date not null,
    until_day date not null,
    code_version text not null,
    mark text not null,
    is_current boolean not null,
    run_id text,
    constraint baseline_versions_key primary key (version)
);
comment on table baseline_versions is 'Each time the seasonal baselines were learned, and from what.';
comment on column baseline_versions.version is 'The version''s number.';
comment on column baseline_versions.learned_at is 'When. [UTC]';
comment on column baseline_versions.from_day is 'First day of what they were learned from. [UTC day]';
comment on column baseline_versions.until_day is 'First day after it. [UTC day]';
comment on column baseline_versions.code_version is 'Of the code that learned them.';
comment on column baseline_versions.mark is 'What the data was then: the same mark gives the same baselines.';
comment on column baseline_versions.is_current is 'Whether it is the one that is scored by.';
comment on column baseline_versions.run_id is 'The Dagster run, where one did it.';
grant select on baseline_versions to rrr_analyst;
grant select, insert, update, delete on baseline_versions to rrr_writer;

create table baselines (
    version bigint not null,
    instrument text collate "C" not null,
    metric text not null,
    hour_of_week smallint not null,
    basis text not null,
    samples integer not null,
    unit double precision not null,
    median double precision not null,
    deviation double precision not null,
    constraint baselines_key primary key (version, instrument, metric, hour_of_week),
    constraint baselines_metric_accepted check (metric in ('volume', 'spread', 'trade_rate', 'message_rate')),
    constraint baselines_basis_accepted check (basis in ('hour_of_week', 'hour_of_day', 'overall')),
    constraint baselines_baseline_versions foreign key (version) references baseline_versions (version)
);
comment on table baselines is
'What is usual of an instrument in an hour of the week: the median of a metric, and its median absolute deviation.';
comment on column baselines.version is 'The version in baseline_versions.';
comment on column baselines.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column baselines.metric is 'What was measured.';
comment on column baselines.hour_of_week is 'Hours since Monday 00:00 UTC, 0 to 167. [h]';
comment on column baselines.basis is 'Which windows it was learned from: a wider choice where the narrower ones are too few.';
comment on column baselines.samples is 'Windows it was learned from. [windows]';
comment on column baselines.unit is 'What the metric is divided by: m becomes ln(1 + m / unit).';
comment on column baselines.median is 'Median of the transformed metric.';
comment on column baselines.deviation is '1.4826 times the median absolute deviation of the transformed metric, and a floor.';
grant select on baselines to rrr_analyst;
grant select, insert, update, delete on baselines to rrr_writer;

create table quote_windows (
    instrument text collate "C" not null,
    window_start timestamptz not null,
    quotes bigint not null,
    spread_bps double precision,
    constraint quote_windows_key primary key (instrument, window_start),
    constraint quote_windows_grid check (window_start = date_bin('5 minutes', window_start, timestamptz '2000-01-01 00:00:00+00'))
);
comment on table quote_windows is 'Quotes by five minutes, kept when the quotes themselves are in the archive. A window without quotes has no row.';
comment on column quote_windows.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column quote_windows.window_start is 'Start of the window, inclusive; its end is excluded. [UTC]';
comment on column quote_windows.quotes is 'Quotes in it. [quotes]';
comment on column quote_windows.spread_bps is 'Median of ask less bid over their mean; null where no quote has both. [bps]';
grant select on quote_windows to rrr_analyst;
grant select, insert, update, delete on quote_windows to rrr_writer;

-- What is looked for: what is open, of an instrument, of a day.
create index gaps_live on gaps (instrument, stream, from_time) where state in ('open', 'healing');
create index gaps_place on gaps (instrument, stream, from_time);
create index gap_attempts_gap on gap_attempts (gap_id);
create unique index findings_open on findings (
    rule, relation, coalesce(instrument, ''), coalesce(day, '-infinity'::date), coalesce(from_time, '-infinity'::timestamptz)
) where state = 'open';
create index anomalies_place on anomalies (instrument, from_time);
create unique index baseline_versions_current on baseline_versions (is_current) where is_current;

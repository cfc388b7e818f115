-- What is held, what was refused, what changed.

create table coverage (
    instrument text collate "C" not null,
    stream text collate "C" not null,
    day date not null,
    space text collate "C",
    row_count bigint not null,
    first_time timestamptz,
    last_time timestamptz,
    first_sequence bigint,
    last_sequence bigint,
    is_declared boolean not null default false,
    covered tstzmultirange not null default '{}',
    missing_ids int8multirange not null default '{}',
    accepted tstzmultirange not null default '{}',
    is_dropped boolean not null default false,
    updated_at timestamptz not null,
    constraint coverage_key primary key (instrument, stream, day),
    constraint coverage_space_accepted check (space in ('trade_id', 'aggregate_id', 'ordinal'))
);
comment on table coverage is
'What is held of each instrument, stream and day, and what is known to be missing. Absent, empty and zero are three different things.';
comment on column coverage.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column coverage.stream is 'trades, or venue_bars_<interval>.';
comment on column coverage.day is 'The day. [UTC day]';
comment on column coverage.space is 'The one identity space of that day''s trades; null for venue bars.';
comment on column coverage.row_count is 'Rows stored. [rows]';
comment on column coverage.first_time is 'Earliest event time stored; null when the day is empty. [UTC]';
comment on column coverage.last_time is 'Latest event time stored. [UTC]';
comment on column coverage.first_sequence is 'Lowest sequence stored.';
comment on column coverage.last_sequence is 'Highest sequence stored.';
comment on column coverage.is_declared is 'A source claims to hold the whole day.';
comment on column coverage.covered is 'Where the tape is known to be whole; bars inside are complete. [UTC]';
comment on column coverage.missing_ids is 'Ids between the lowest and the highest stored that are not there.';
comment on column coverage.accepted is 'Holes accepted by a person with a reason; they do not make a bar incomplete. [UTC]';
comment on column coverage.is_dropped is 'Retention dropped the day''s rows: nothing is refreshed from what is left.';
comment on column coverage.updated_at is 'When this row last changed. [UTC]';
grant select on coverage to rrr_analyst;
grant select, insert, update on coverage to rrr_writer;

create table quarantine (
    quarantine_id bigint generated always as identity not null,
    file_id bigint not null,
    line bigint not null,
    day date not null,
    reason text not null,
    detail text not null,
    raw text not null,
    instrument text collate "C",
    event_time timestamptz,
    sequence bigint,
    after_time timestamptz,
    before_time timestamptz,
    state text not null default 'quarantined',
    batch_id bigint not null,
    quarantined_at timestamptz not null,
    replayed_at timestamptz,
    constraint quarantine_key primary key (quarantine_id),
    constraint quarantine_state_accepted check (state in ('quarantined', 'replayed')),
    constraint quarantine_place unique (file_id, line),
    constraint quarantine_file foreign key (file_id) references landing_files (file_id)
);
comment on table quarantine is
'Every row that was refused, with its file, line, reason and raw text, until its cause is mended and it is replayed.';
comment on column quarantine.quarantine_id is 'The row''s number.';
comment on column quarantine.file_id is 'The file it stood in.';
comment on column quarantine.line is 'Physical line, or element of a JSON list, from 1.';
comment on column quarantine.day is 'The day whose transaction brought it here. [UTC day]';
comment on column quarantine.reason is 'Why, as a stable word.';
comment on column quarantine.detail is 'Why, as a sentence with what was expected and what was there.';
comment on column quarantine.raw is 'The raw text; bytes that are no text as \xNN.';
comment on column quarantine.instrument is 'As far as it was understood.';
comment on column quarantine.event_time is 'As far as it was understood. [UTC]';
comment on column quarantine.sequence is 'As far as it was understood.';
comment on column quarantine.after_time is 'Event time of the good row before it in the file. [UTC]';
comment on column quarantine.before_time is 'Event time of the good row after it in the file. [UTC]';
comment on column quarantine.state is 'Whether it still waits.';
comment on column quarantine.batch_id is 'The batch that refused it first.';
comment on column quarantine.quarantined_at is 'When. [UTC]';
comment on column quarantine.replayed_at is 'When it was taken in after all. [UTC]';
grant select on quarantine to rrr_analyst;
grant select, insert, update on quarantine to rrr_writer;

create index quarantine_waiting on quarantine (reason, instrument) where state = 'quarantined';

create table invalidation_log (
    invalidation_id bigint generated always as identity not null,
    relation text collate "C" not null,
    instrument text collate "C" not null,
    day date not null,
    from_time timestamptz not null,
    to_time timestamptz not null,
    reason text not null,
    batch_id bigint,
    logged_at timestamptz not null,
    constraint invalidation_log_key primary key (invalidation_id),
    constraint invalidation_log_window check (from_time < to_time)
);
comment on table invalidation_log is
'Every change of ticks and bars as (relation, instrument, from, to): what is made from them refreshes exactly that. Append-only.';
comment on column invalidation_log.invalidation_id is 'Order; within a relation, instrument and day it is the order of commits.';
comment on column invalidation_log.relation is 'The table that changed.';
comment on column invalidation_log.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column invalidation_log.day is 'The day the window lies in. [UTC day]';
comment on column invalidation_log.from_time is 'Start of the window, inclusive. [UTC]';
comment on column invalidation_log.to_time is 'End of the window, exclusive. [UTC]';
comment on column invalidation_log.reason is 'What changed: load, coverage, revision, refresh.';
comment on column invalidation_log.batch_id is 'The batch that changed it, where one did.';
comment on column invalidation_log.logged_at is 'When. [UTC]';
grant select on invalidation_log to rrr_analyst;
grant select, insert on invalidation_log to rrr_writer;

create index invalidation_log_work on invalidation_log (relation, day, instrument, invalidation_id);

create table invalidations_applied (
    consumer text collate "C" not null,
    relation text collate "C" not null,
    instrument text collate "C" not null,
    day date not null,
    applied_through bigint not null,
    applied_at timestamptz not null,
    constraint invalidations_applied_key primary key (consumer, relation, instrument, day)
);
comment on table invalidations_applied is
'How far each consumer has worked through the invalidation log, per relation, instrument and day.';
comment on column invalidations_applied.consumer is 'The table that is refreshed.';
comment on column invalidations_applied.relation is 'The table whose changes it follows: commits are in order only within one.';
comment on column invalidations_applied.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column invalidations_applied.day is 'The day. [UTC day]';
comment on column invalidations_applied.applied_through is 'The last invalidation_id that its rows reflect.';
comment on column invalidations_applied.applied_at is 'When. [UTC]';
grant select on invalidations_applied to rrr_analyst;
grant select, insert, update on invalidations_applied to rrr_writer;

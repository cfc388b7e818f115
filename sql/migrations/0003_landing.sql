-- What came in: files, their days, and the batches that were made of them.

create table landing_files (
    file_id bigint generated always as identity not null,
    sha256 text not null,
    name text not null,
    format text not null,
    given_instrument text not null default '',
    given_day text not null default '',
    size_bytes bigint not null,
    stream text collate "C" not null,
    space text collate "C",
    time_unit text not null,
    declared daterange,
    rows_read bigint not null,
    passed_over bigint not null,
    clock_offset_us bigint,
    accepted_at timestamptz not null,
    constraint landing_files_key primary key (file_id),
    constraint landing_files_stream_accepted check (stream in ('trades', 'venue_bars')),
    constraint landing_files_space_accepted check (space in ('trade_id', 'aggregate_id', 'ordinal')),
    constraint landing_files_time_unit_accepted check (time_unit in ('s', 'ms', 'us', 'ns')),
    constraint landing_files_identity unique (sha256, format, given_instrument, given_day)
);
comment on table landing_files is
'Every file that was verified whole and accepted into the landing zone. A file is its content, its format and what the user said of it.';
comment on column landing_files.file_id is 'The file''s number.';
comment on column landing_files.sha256 is 'Of the file''s bytes.';
comment on column landing_files.name is 'What it was called when it came first.';
comment on column landing_files.format is 'The source format it was read as.';
comment on column landing_files.given_instrument is 'The one instrument that the user or the file''s name says; empty where its rows say it.';
comment on column landing_files.given_day is 'The day the user named, in ISO form; empty where the file says it itself.';
comment on column landing_files.size_bytes is 'Of the file as it came. [bytes]';
comment on column landing_files.stream is 'Which table it feeds.';
comment on column landing_files.space is 'Identity space of its trades; null for venue bars.';
comment on column landing_files.time_unit is 'Precision of its times.';
comment on column landing_files.declared is 'Days the file claims to hold in full; null for a capture or a page. [UTC days]';
comment on column landing_files.rows_read is 'Rows of its stream, good and refused. [rows]';
comment on column landing_files.passed_over is 'Lines that belong to other streams. [lines]';
comment on column landing_files.clock_offset_us is 'Measured: what to add to the recorder''s clock to get the venue''s. [us]';
comment on column landing_files.accepted_at is 'When it was accepted. [UTC]';
grant select on landing_files to rrr_analyst;
grant select, insert, update on landing_files to rrr_writer;

create table landing_days (
    file_id bigint not null,
    day date not null,
    rows_read bigint not null,
    is_pending boolean not null default true,
    requested_at timestamptz not null,
    refused text,
    constraint landing_days_key primary key (file_id, day),
    constraint landing_days_file foreign key (file_id) references landing_files (file_id)
);
comment on table landing_days is 'Which days a landed file has rows of, and whether they were taken in since they were last asked for.';
comment on column landing_days.file_id is 'The file.';
comment on column landing_days.day is 'The day. [UTC day]';
comment on column landing_days.rows_read is 'Rows of that day, good and refused. [rows]';
comment on column landing_days.is_pending is 'Asked for and not yet taken in.';
comment on column landing_days.requested_at is 'When it was last asked for. [UTC]';
comment on column landing_days.refused is 'Why the file as a whole was refused for that day, where it was.';
grant select on landing_days to rrr_analyst;
grant select, insert, update on landing_days to rrr_writer;

create index landing_days_pending on landing_days (day) where is_pending;

create table ingest_batches (
    batch_id bigint generated always as identity not null,
    file_id bigint not null,
    day date not null,
    stream text collate "C" not null,
    time_unit text not null,
    rows_read bigint not null,
    rows_stored bigint not null,
    rows_revised bigint not null,
    duplicates bigint not null,
    quarantined bigint not null,
    known_at timestamptz not null,
    run_id text,
    seconds numeric not null,
    constraint ingest_batches_key primary key (batch_id),
    constraint ingest_batches_stream_accepted check (stream in ('trades', 'venue_bars')),
    constraint ingest_batches_time_unit_accepted check (time_unit in ('s', 'ms', 'us', 'ns')),
    constraint ingest_batches_file foreign key (file_id) references landing_files (file_id),
    constraint ingest_batches_conserve check (rows_read = rows_stored + rows_revised + duplicates + quarantined)
);
comment on table ingest_batches is
'One row per file and day taken in, written in the transaction that stored the rows: rows_read = stored + revised + duplicates + quarantined.';
comment on column ingest_batches.batch_id is 'The batch''s number.';
comment on column ingest_batches.file_id is 'The file it was read from.';
comment on column ingest_batches.day is 'The day it belongs to. [UTC day]';
comment on column ingest_batches.stream is 'Which table it fed.';
comment on column ingest_batches.time_unit is 'Precision of its times.';
comment on column ingest_batches.rows_read is 'Rows of that day in the file. [rows]';
comment on column ingest_batches.rows_stored is 'Rows that were new. [rows]';
comment on column ingest_batches.rows_revised is 'Rows that replaced a coarser one. [rows]';
comment on column ingest_batches.duplicates is 'Rows that were known already. [rows]';
comment on column ingest_batches.quarantined is 'Rows that were refused. [rows]';
comment on column ingest_batches.known_at is 'The one stamp of all its rows. [UTC]';
comment on column ingest_batches.run_id is 'The Dagster run that took it in.';
comment on column ingest_batches.seconds is 'How long the day''s transaction took up to here. [s]';
grant select on ingest_batches to rrr_analyst;
grant select, insert on ingest_batches to rrr_writer;

create index ingest_batches_day on ingest_batches (day, stream);

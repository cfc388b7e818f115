-- Retention: the tier of each partition, what is held, and all that was ever done or refused.

create table partition_tiers (
    relation text collate "C" not null,
    partition_start date not null,
    tier text not null,
    row_count bigint not null,
    size_bytes bigint not null,
    proof_id bigint,
    restored text[] not null default '{}',
    restored_until timestamptz,
    changed_at timestamptz not null,
    constraint partition_tiers_key primary key (relation, partition_start),
    constraint partition_tiers_tier_accepted check (tier in ('warm', 'cold', 'deleted'))
);
comment on table partition_tiers is
'The tier of every partition that is no longer hot. A partition without a row here is in the database, and is written.';
comment on column partition_tiers.relation is 'The table.';
comment on column partition_tiers.partition_start is 'First day of the partition: the day, or the first of its month. [UTC day]';
comment on column partition_tiers.tier is 'warm: in the database, not written; cold: in the archive alone; deleted: gone.';
comment on column partition_tiers.row_count is 'Rows, as it left the tier before. [rows]';
comment on column partition_tiers.size_bytes is 'What it took in the database while it was hot, with its indexes. [bytes]';
comment on column partition_tiers.proof_id is 'The proof on which it was dropped; null while it is warm.';
comment on column partition_tiers.restored is 'Instruments whose rows were brought back into the database, and are read there.';
comment on column partition_tiers.restored_until is 'When those are dropped again; null where there are none. [UTC]';
comment on column partition_tiers.changed_at is 'When this row last changed. [UTC]';
grant select on partition_tiers to rrr_analyst;
grant select, insert, update, delete on partition_tiers to rrr_writer;

create table holds (
    hold_id bigint generated always as identity not null,
    name text collate "C" not null,
    kind text not null,
    relation text collate "C",
    instrument text collate "C",
    from_day date,
    until_day date,
    reason text not null,
    placed_at timestamptz not null,
    placed_by text not null,
    expires_at timestamptz,
    released_at timestamptz,
    released_by text,
    release_reason text,
    constraint holds_key primary key (hold_id),
    constraint holds_kind_accepted check (kind in ('legal', 'pin'))
);
comment on table holds is 'What may not be dropped, deleted or expired, by whose word, and until when. A hold is released, never removed.';
comment on column holds.hold_id is 'The hold''s number.';
comment on column holds.name is 'What it is called; of holds that stand, one has the name.';
comment on column holds.kind is 'A person''s word, or the pin of a data set.';
comment on column holds.relation is 'The table; null for every one.';
comment on column holds.instrument is 'The instrument; null for every one.';
comment on column holds.from_day is 'First day; null for no bound. [UTC day]';
comment on column holds.until_day is 'First day that is not held; null for no bound. [UTC day]';
comment on column holds.reason is 'Why, in the words of who placed it.';
comment on column holds.placed_at is 'When. [UTC]';
comment on column holds.placed_by is 'Who: the user of the operating system and the host.';
comment on column holds.expires_at is 'When it ends by itself; null: when it is released. [UTC]';
comment on column holds.released_at is 'When it was released; null while it stands. [UTC]';
comment on column holds.released_by is 'Who released it.';
comment on column holds.release_reason is 'Why.';
grant select on holds to rrr_analyst;
grant select, insert, update (released_at, released_by, release_reason) on holds to rrr_writer;

-- Of holds that stand, one has a name.
create unique index holds_name on holds (name) where released_at is null;

create table retention_log (
    entry_id bigint generated always as identity not null,
    at timestamptz not null,
    action text not null,
    relation text collate "C",
    partition_start date,
    is_dry_run boolean not null,
    row_count bigint,
    size_bytes bigint,
    proof_id bigint,
    reasons text[] not null default '{}',
    detail jsonb,
    environment text,
    by_whom text not null,
    run_id text,
    constraint retention_log_key primary key (entry_id),
    constraint retention_log_action_accepted check (
        action in (
            'warm', 'thaw', 'drop', 'restore', 'delete', 'refuse', 'expire', 'compact',
            'remove_orphans', 'scrub', 'hold', 'release'
        )
    )
);
comment on table retention_log is
'What retention, restoring and the archive''s upkeep did, would have done, or refused, and why. Append-only.';
comment on column retention_log.entry_id is 'Order of the entries.';
comment on column retention_log.at is 'When. [UTC]';
comment on column retention_log.action is 'What.';
comment on column retention_log.relation is 'The table; null where it concerns none.';
comment on column retention_log.partition_start is 'First day of the partition. [UTC day]';
comment on column retention_log.is_dry_run is 'Nothing was changed: it was only asked what would be.';
comment on column retention_log.row_count is 'Rows concerned. [rows]';
comment on column retention_log.size_bytes is 'Bytes concerned. [bytes]';
comment on column retention_log.proof_id is 'The proof that it rests on.';
comment on column retention_log.reasons is 'Why it was refused, or done.';
comment on column retention_log.detail is 'What else there is to say.';
comment on column retention_log.environment is 'What RRR_ENVIRONMENT was; null where it was not set.';
comment on column retention_log.by_whom is 'The user of the operating system and the host.';
comment on column retention_log.run_id is 'The Dagster run, where one did it.';
grant select on retention_log to rrr_analyst;
grant select, insert on retention_log to rrr_writer;

create index retention_log_partition on retention_log (relation, partition_start, entry_id);

create function refuse_change() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
    raise exception '% is append-only: % is refused', tg_table_name, lower(tg_op) using errcode = 'object_not_in_prerequisite_state';
end;
$$;
comment on function refuse_change() is 'Refuses every change of rows that stand, whoever asks.';

create trigger retention_log_append_only before update or delete or truncate on retention_log
for each statement execute function refuse_change();

-- Aggregated trades and depth on plain PostgreSQL: one range partition per UTC day, as for trades.

create table raw_agg_trades (
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    price numeric not null,
    size numeric not null,
    side text,
    conditions text[],
    first_trade_id bigint not null,
    last_trade_id bigint not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_agg_trades_key primary key (instrument, space, sequence, event_time),
    constraint raw_agg_trades_space_accepted check (space in ('trade_id', 'exchange_trade_id', 'aggregate_id', 'ordinal')),
    constraint raw_agg_trades_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_agg_trades_side_accepted check (side in ('buy', 'sell')),
    constraint raw_agg_trades_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_agg_trades_price_positive check (price > 0),
    constraint raw_agg_trades_size_positive check (size > 0),
    constraint raw_agg_trades_available_order check (available_at >= event_time),
    constraint raw_agg_trades_ids_order check (first_trade_id <= last_trade_id)
) partition by range (event_time);
comment on table raw_agg_trades is
'Every aggregated trade as the venue reported it, once: a stream of its own, never added to raw_trades.';
comment on column raw_agg_trades.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_agg_trades.space is
'Which identity `sequence` is: the venue''s trade id, its aggregate id, or the order in the source.';
comment on column raw_agg_trades.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column raw_agg_trades.event_time is 'When the venue matched the trade. [UTC]';
comment on column raw_agg_trades.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_agg_trades.time_source is 'Whose clock event_time is.';
comment on column raw_agg_trades.price is 'Price of one unit of size, exact. [quote asset]';
comment on column raw_agg_trades.size is 'Quantity, exact; contracts on inverse futures. [base asset or contracts]';
comment on column raw_agg_trades.side is 'Aggressor: who took liquidity. Null where the venue does not say.';
comment on column raw_agg_trades.conditions is 'The venue''s own remarks on the trade, sorted; null where there are none.';
comment on column raw_agg_trades.first_trade_id is 'Id of the first trade that is aggregated in it.';
comment on column raw_agg_trades.last_trade_id is 'Id of the last one; all between belong to it.';
comment on column raw_agg_trades.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_agg_trades.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_agg_trades.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_agg_trades.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_agg_trades.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_agg_trades to rrr_analyst;
grant select, insert, delete on raw_agg_trades to rrr_writer;

-- As on raw_trades: rows lie in time order, so a block range index finds a window at almost no cost to the load.
create index raw_agg_trades_event_time on raw_agg_trades using brin (event_time) with (pages_per_range = 32, autosummarize = on);

create table raw_depth (
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    message text not null,
    first_update_id bigint,
    last_update_id bigint not null,
    bids jsonb not null,
    asks jsonb not null,
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint raw_depth_key primary key (instrument, space, sequence, event_time),
    constraint raw_depth_space_accepted check (space in ('update_id')),
    constraint raw_depth_time_source_accepted check (time_source in ('venue', 'local')),
    constraint raw_depth_message_accepted check (message in ('delta', 'snapshot')),
    constraint raw_depth_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint raw_depth_available_order check (available_at >= event_time)
) partition by range (event_time);
comment on table raw_depth is 'Every change and snapshot of an order book as the venue reported it, once.';
comment on column raw_depth.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column raw_depth.space is 'Which identity `sequence` is: the venue''s update id.';
comment on column raw_depth.sequence is 'Twice the last update id, plus one for a snapshot: both may end at the same update.';
comment on column raw_depth.event_time is 'When the book had changed so at the venue. [UTC]';
comment on column raw_depth.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column raw_depth.time_source is 'Whose clock event_time is.';
comment on column raw_depth.message is 'Whether the levels change the book or are all of it.';
comment on column raw_depth.first_update_id is 'First update in a change; null for a snapshot.';
comment on column raw_depth.last_update_id is 'Last update in it.';
comment on column raw_depth.bids is 'Levels bid as received, [price, size] as text; size 0 removes a level.';
comment on column raw_depth.asks is 'Levels asked as received, [price, size] as text; size 0 removes a level.';
comment on column raw_depth.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column raw_depth.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column raw_depth.available_basis is 'Whether available_at was observed or modelled.';
comment on column raw_depth.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column raw_depth.batch_id is 'The batch in ingest_batches that brought it.';
grant select on raw_depth to rrr_analyst;
grant select, insert, delete on raw_depth to rrr_writer;

-- As on raw_trades: rows lie in time order, so a block range index finds a window at almost no cost to the load.
create index raw_depth_event_time on raw_depth using brin (event_time) with (pages_per_range = 32, autosummarize = on);

-- The functions of days, for the new tables too.
create or replace function ensure_day_partition(parent text, day date) returns text
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    if to_regclass(child) is null then
        -- Two writers of a new day meet here; the second finds the partition made.
        perform pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(child));
        -- Asked of the catalogue's rows: a name that was looked up in vain stays so in the cache while an advisory lock is waited for.
        if not exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
            execute format(
                'create table %I partition of %I for values from (%L) to (%L)',
                child, parent, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
            );
        end if;
    end if;
    return child;
end;
$$;

create or replace function begin_day_partition(parent text, day date) returns text
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    if to_regclass(child) is null then
        -- Other writers of the new day wait here, and in ensure_day_partition, until this one commits; then they find it made.
        perform pg_advisory_xact_lock(hashtext('ensure_day_partition'), hashtext(child));
    end if;
    -- Asked of the catalogue's rows: a name that was looked up in vain stays so in the cache while an advisory lock is waited for.
    if exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
        return null;
    end if;
    execute format('create table %I (like %I including defaults including constraints)', child, parent);
    -- Held to its bounds from the first row, it is not read once more when it is attached.
    execute format(
        'alter table %I add constraint is_of_day check (event_time >= %L and event_time < %L)',
        child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
    );
    execute format('grant insert on %I to rrr_writer', child);
    return child;
end;
$$;

create or replace function attach_day_partition(parent text, day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
-- Rows come in the order of their key: one process sorts them with a glance, several would first mix them up.
set max_parallel_maintenance_workers = 0
set maintenance_work_mem = '256MB'
as $$
declare
    child text := format('%s_%s', parent, to_char(day, 'YYYYMMDD'));
begin
    if parent not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        raise exception 'not a table of ticks: %', parent;
    end if;
    -- The parent's indexes, made before it is touched.
    execute (
        select format('alter table %I add %s', child, pg_get_constraintdef(c.oid))
        from pg_constraint as c
        where c.conrelid = parent::regclass and c.contype = 'p'
    );
    execute format('create index on %I using brin (event_time) with (pages_per_range = 32, autosummarize = on)', child);
    execute format(
        'alter table %I attach partition %I for values from (%L) to (%L)',
        parent, child, day::timestamp at time zone 'UTC', (day + 1)::timestamp at time zone 'UTC'
    );
    execute format('alter table %I drop constraint is_of_day', child);
    execute format('revoke insert on %I from rrr_writer', child);
end;
$$;

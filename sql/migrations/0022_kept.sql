-- The last guard of what is stored: nothing leaves the database that is not proven kept as it is now, or that is held, whoever asks.

create function archived_relations() returns table (relation text, time_column text, follows text[])
language sql
immutable
set search_path = public, pg_temp
as $$
    values
    ('raw_trades', 'event_time', '{raw_trades}'::text[]),
    ('trade_revisions', 'event_time', '{raw_trades}'),
    ('raw_agg_trades', 'event_time', '{raw_agg_trades}'),
    ('agg_trade_revisions', 'event_time', '{raw_agg_trades}'),
    ('raw_quotes', 'event_time', '{raw_quotes}'),
    ('quote_revisions', 'event_time', '{raw_quotes}'),
    ('raw_depth', 'event_time', '{raw_depth}'),
    ('depth_revisions', 'event_time', '{raw_depth}'),
    ('bars_1m', 'bar_start', '{bars_1m}'),
    ('bars_5m', 'bar_start', '{bars_5m}'),
    ('bars_1h', 'bar_start', '{bars_1h}'),
    ('bars_1d', 'bar_start', '{bars_1d}'),
    ('bar_revisions', 'bar_start', '{bars_1m,bars_5m,bars_1h,bars_1d}'),
    ('venue_bars', 'bar_start', '{venue_bars}'),
    ('bars_tick', 'bar_start', '{bars_tick}'),
    ('bars_volume', 'bar_start', '{bars_volume}'),
    ('bars_dollar', 'bar_start', '{bars_dollar}'),
    ('market_sentiment', 'event_time', '{}'),
    ('orders', 'event_time', '{}')
$$;
comment on function archived_relations() is
'The tables of which partitions may leave the database, with their time and the relations of the invalidation log that tell of changes.';

create function refuse_unproven(of_relation text, from_day date, until_day date) returns bigint
language plpgsql
stable
set search_path = public, pg_temp
as $$
declare
    known record;
    proof record;
    tier_now text;
    last_change bigint;
    holding text;
begin
    select a.* into known from archived_relations() as a where a.relation = of_relation;
    if not found then
        raise exception '% is no archived table: nothing of it is dropped', of_relation
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    select string_agg(h.name, ', ' order by h.name) into holding
    from holds as h
    where
        h.released_at is null and (h.expires_at is null or h.expires_at > clock_timestamp())
        and (h.relation is null or h.relation = of_relation)
        and (h.from_day is null or h.from_day < refuse_unproven.until_day) and (h.until_day is null or h.until_day > refuse_unproven.from_day);
    select t.tier into tier_now from partition_tiers as t where t.relation = of_relation and t.partition_start = refuse_unproven.from_day;
    if holding is not null then
        raise exception '% of % is held by %', of_relation, refuse_unproven.from_day, holding
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    select p.row_count, p.log_mark into proof
    from archive_proofs as p
    where p.relation = of_relation and p.partition_start = refuse_unproven.from_day
    order by p.proof_id desc
    limit 1;
    if not found then
        return 0;
    end if;
    select coalesce(max(d.last_id), 0) into last_change
    from invalidation_days as d
    where d.relation = any(known.follows) and d.day >= refuse_unproven.from_day and d.day < refuse_unproven.until_day;
    -- What is left of a cold partition was brought back to be read, and could not be written since.
    if tier_now is distinct from 'cold' and proof.log_mark <> last_change then
        raise exception '% of % changed since it was proven', of_relation, refuse_unproven.from_day
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return proof.row_count;
end;
$$;
comment on function refuse_unproven(text, date, date) is
'Refuses where a partition is held, or changed since it was proven. Else the rows that it must have: none where there is no proof.';

create function refuse_other_count(relation text, from_day date, row_count bigint, proven bigint) returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
    if row_count > proven or (
        row_count <> proven and not exists (
            select 1 from partition_tiers as t
            where t.relation = refuse_other_count.relation and t.partition_start = from_day and t.tier = 'cold'
        )
    ) then
        raise exception '% of % has % rows, and % are proven kept', relation, from_day, row_count, proven
            using errcode = 'object_not_in_prerequisite_state';
    end if;
end;
$$;
comment on function refuse_other_count(text, date, bigint, bigint) is
'Refuses where a partition has not the rows that are proven kept; of a cold one that came back in part, where it has more.';

create function remove_rows(of_relation text, from_day date, until_day date, expected bigint) returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    known record;
    removed bigint;
begin
    select a.* into strict known from archived_relations() as a where a.relation = of_relation;
    execute format('delete from %1$I where %2$I >= $1 and %2$I < $2', of_relation, known.time_column)
    using from_day::timestamp at time zone 'UTC', until_day::timestamp at time zone 'UTC';
    get diagnostics removed = row_count;
    perform refuse_other_count(of_relation, from_day, removed, expected);
    return removed;
end;
$$;
comment on function remove_rows(text, date, date, bigint) is 'Removes a partition''s rows from a table without partitions.';

create function bytes_of_share(of_relation text, row_count bigint) returns bigint
language plpgsql
stable
security definer
set search_path = public, pg_temp
as $$
declare
    of_all bigint;
    rows_of_all numeric;
begin
    select sum(pg_total_relation_size(c.oid)), greatest(sum(c.reltuples::numeric), bytes_of_share.row_count)
    into of_all, rows_of_all
    from pg_class as c
    where
        c.oid = of_relation::regclass
        or c.oid in (select i.inhrelid from pg_inherits as i where i.inhparent = of_relation::regclass);
    return case when rows_of_all > 0 then round(of_all * row_count / rows_of_all) else 0 end;
end;
$$;
comment on function bytes_of_share(text, bigint) is 'What so many rows of a table take, as a share of the whole. [bytes]';

revoke execute on function remove_rows(text, date, date, bigint), bytes_of_share(text, bigint) from public;

-- Nothing logs the changes of the desk's own tables: what is in the archive alone is not written beside it, where nobody would look for it.
create function refuse_cold_write() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
declare
    month date := date_trunc('month', (case when tg_op = 'DELETE' then old.event_time else new.event_time end) at time zone 'UTC')::date;
begin
    if current_setting('rrr.is_moving', true) is distinct from 'on' and exists (
        select 1 from partition_tiers as t
        where t.relation = tg_table_name and t.partition_start = month and t.tier in ('cold', 'deleted')
    ) then
        raise exception '% of % is in the archive alone: restore it first', tg_table_name, month
            using errcode = 'object_not_in_prerequisite_state';
    end if;
    return case when tg_op = 'DELETE' then old else new end;
end;
$$;
comment on function refuse_cold_write() is 'Refuses rows of a month that is not in the database.';

create trigger market_sentiment_is_here before insert or update or delete on market_sentiment
for each row execute function refuse_cold_write();
create trigger orders_is_here before insert or update or delete on orders
for each row execute function refuse_cold_write();

-- The order of locks is: partition, then day. Writers share a partition; who moves it has it alone.
create function lock_partition(relation text, partition_start date, is_alone boolean) returns void
language sql
set search_path = public, pg_temp
as $$
    select case
        when is_alone then pg_advisory_xact_lock(hashtextextended(format('partition|%s|%s', relation, partition_start), 0))
        else pg_advisory_xact_lock_shared(hashtextextended(format('partition|%s|%s', relation, partition_start), 0))
    end
$$;
comment on function lock_partition(text, date, boolean) is 'Holds a partition until the transaction ends: shared by who writes it, alone by who moves it.';

-- Partitions as they were at some time, laid down beside: to be looked at, and removed by who made them.
create schema restored;
grant usage, create on schema restored to rrr_writer;
grant usage on schema restored to rrr_analyst;

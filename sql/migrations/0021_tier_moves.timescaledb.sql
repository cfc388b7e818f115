-- How a partition moves from tier to tier on TimescaleDB. The warm tier is the columnstore. Rows that come late are written there like
-- any others, and are made columns when the partition is warmed again: so nothing has to be thawed.
-- A database that was moved over from plain PostgreSQL has functions of these names already, and what was warm there is no column yet.

delete from partition_tiers where tier = 'warm';
drop function if exists refuse_write() cascade;

create or replace function warm_partition(relation text, from_day date, until_day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    part record;
begin
    -- Chunks of bars are longer or shorter than a month: those that end in it, or before, are warm as a whole.
    for part in
        select format('%I.%I', c.chunk_schema, c.chunk_name)::regclass as chunk
        from timescaledb_information.chunks as c
        inner join timescaledb_information.hypertables as h using (hypertable_schema, hypertable_name)
        where
            c.hypertable_schema = 'public' and c.hypertable_name = relation and h.compression_enabled
            and c.range_end > from_day::timestamp at time zone 'UTC' and c.range_end <= until_day::timestamp at time zone 'UTC'
        order by c.range_start
    loop
        -- What is there in columns already is left as it is, and rows that came since are added to it.
        perform compress_chunk(part.chunk, if_not_compressed => true);
    end loop;
end;
$$;
comment on function warm_partition(text, date, date) is 'Turns the chunks that end in a partition into columns; nothing where a table has no chunks.';

create or replace function thaw_partition(relation text, from_day date, until_day date) returns void
language plpgsql
set search_path = public, pg_temp
as $$
begin
    return;
end;
$$;
comment on function thaw_partition(text, date, date) is 'Lets a partition be written again: rows in columns are written like others, so there is nothing to do.';

create or replace function remove_partition(relation text, from_day date, until_day date) returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    since timestamptz := from_day::timestamp at time zone 'UTC';
    till timestamptz := until_day::timestamp at time zone 'UTC';
    expected bigint;
    removed bigint;
begin
    expected := refuse_unproven(relation, from_day, until_day);
    if relation not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        return remove_rows(relation, from_day, until_day, expected);
    end if;
    execute format('select count(*) from %I where event_time >= $1 and event_time < $2', relation) into removed using since, till;
    perform refuse_other_count(relation, from_day, removed, expected);
    perform drop_chunks(relation::regclass, older_than => till, newer_than => since);
    return removed;
end;
$$;
comment on function remove_partition(text, date, date) is
'Removes a partition that is proven kept from the database, and says how many rows it had. Refuses where it is not, or is held.';

create or replace function partition_bytes(relation text, from_day date, until_day date, row_count bigint) returns bigint
language plpgsql
stable
security definer
set search_path = public, pg_temp
as $$
begin
    if relation in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        return coalesce(
            (
                select sum(d.total_bytes)
                from chunks_detailed_size(relation::regclass) as d
                inner join timescaledb_information.chunks as c using (chunk_schema, chunk_name)
                where
                    c.range_start >= from_day::timestamp at time zone 'UTC' and c.range_end <= until_day::timestamp at time zone 'UTC'
            ),
            0
        );
    end if;
    return bytes_of_share(relation, row_count);
end;
$$;
comment on function partition_bytes(text, date, date, bigint) is
'What a partition takes in the database, with its indexes; of a table without partitions, what so many of its rows take. [bytes]';

revoke execute on function
warm_partition(text, date, date), thaw_partition(text, date, date), remove_partition(text, date, date),
partition_bytes(text, date, date, bigint)
from public;
grant execute on function
warm_partition(text, date, date), thaw_partition(text, date, date), remove_partition(text, date, date),
partition_bytes(text, date, date, bigint)
to rrr_writer;

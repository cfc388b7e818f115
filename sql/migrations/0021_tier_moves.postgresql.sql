-- How a partition moves from tier to tier on plain PostgreSQL. In the warm tier a day's partition is read-only: a trigger refuses every
-- change of its rows, whoever asks, until it is thawed. Tables without partitions have no warm form here.

create function refuse_write() returns trigger
language plpgsql
set search_path = public, pg_temp
as $$
begin
    raise exception '% is in the warm tier: it is not written until it is thawed', tg_table_name
        using errcode = 'object_not_in_prerequisite_state';
end;
$$;
comment on function refuse_write() is 'Refuses every change of a warm partition.';

create function warm_partition(relation text, from_day date, until_day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', relation, to_char(from_day, 'YYYYMMDD'));
begin
    if relation not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') or until_day <> from_day + 1 then
        return;
    end if;
    if exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
        execute format(
            'create or replace trigger is_warm before insert or update or delete on %I for each row execute function refuse_write()', child
        );
    end if;
end;
$$;
comment on function warm_partition(text, date, date) is 'Makes a day''s partition read-only; nothing where a table has no partitions.';

create function thaw_partition(relation text, from_day date, until_day date) returns void
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', relation, to_char(from_day, 'YYYYMMDD'));
begin
    if relation not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') or until_day <> from_day + 1 then
        return;
    end if;
    if exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
        execute format('drop trigger if exists is_warm on %I', child);
    end if;
end;
$$;
comment on function thaw_partition(text, date, date) is 'Lets a day''s partition be written again.';

create function remove_partition(relation text, from_day date, until_day date) returns bigint
language plpgsql
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', relation, to_char(from_day, 'YYYYMMDD'));
    expected bigint;
    removed bigint := 0;
begin
    expected := refuse_unproven(relation, from_day, until_day);
    if relation not in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        return remove_rows(relation, from_day, until_day, expected);
    end if;
    if exists (select 1 from pg_class as c where c.relname = child and c.relnamespace = 'public'::regnamespace) then
        execute format('lock table %I in access exclusive mode', child);
        execute format('select count(*) from %I', child) into removed;
        execute format('drop table %I', child);
    end if;
    perform refuse_other_count(relation, from_day, removed, expected);
    return removed;
end;
$$;
comment on function remove_partition(text, date, date) is
'Removes a partition that is proven kept from the database, and says how many rows it had. Refuses where it is not, or is held.';

create function partition_bytes(relation text, from_day date, until_day date, row_count bigint) returns bigint
language plpgsql
stable
security definer
set search_path = public, pg_temp
as $$
declare
    child text := format('%s_%s', relation, to_char(from_day, 'YYYYMMDD'));
begin
    if relation in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth') then
        return coalesce(
            (
                select pg_total_relation_size(c.oid) from pg_class as c
                where c.relname = child and c.relnamespace = 'public'::regnamespace
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

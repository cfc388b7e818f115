-- A day that arrives for the first time goes straight into the hypertable: filling a table beside it and attaching that as a
-- chunk was measured, and gains a tenth.

create function begin_day_partition(parent text, day date) returns text
language sql
begin atomic
    select null::text;
end;
comment on function begin_day_partition(text, date) is 'Null: there is nothing to fill beside the table, its chunks are made as rows come.';

create function attach_day_partition(parent text, day date) returns void
language plpgsql
as $$
begin
    raise exception 'there is nothing to attach to %: its chunks are made as rows come', parent;
end;
$$;
comment on function attach_day_partition(text, date) is 'Refuses: begin_day_partition has made nothing that could be attached.';

revoke execute on function begin_day_partition(text, date), attach_day_partition(text, date) from public;
grant execute on function begin_day_partition(text, date), attach_day_partition(text, date) to rrr_writer;

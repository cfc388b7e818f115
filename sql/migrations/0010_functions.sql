-- What both engines compute the same way.

create function exact_vwap(quote_volume numeric, volume numeric) returns numeric
language sql immutable parallel safe
return case
    when volume = 0 then null
    -- Half away from zero in whole numbers: numeric division would round once to its own scale and again to 12.
    else trim_scale(div(2 * quote_volume * 1000000000000 + volume, 2 * volume) * 0.000000000001)
end;
comment on function exact_vwap(numeric, numeric) is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0.';

create function floor_time(at timestamptz, unit text) returns timestamptz
language sql immutable parallel safe
return case unit
    when 's' then date_bin('1 second', at, timestamptz '2000-01-01 00:00:00+00')
    when 'ms' then date_bin('1 millisecond', at, timestamptz '2000-01-01 00:00:00+00')
    else at
end;
comment on function floor_time(timestamptz, text) is 'A time as a source of that unit would have told it: venues cut off, they do not round.';

create function unit_rank(unit text) returns integer
language sql immutable parallel safe
return case unit when 's' then 0 when 'ms' then 1 when 'us' then 2 else 3 end;
comment on function unit_rank(text) is 'The higher, the finer.';

create function knowledge_horizon() returns timestamptz
language sql volatile
security definer
set search_path = pg_catalog, pg_temp
begin atomic
    -- The statement's time, not the clock's: a batch that enters after the locks were looked at draws a later stamp than this.
    -- A transaction keeps the first picture of the sessions that it took: a holder that is not in it, or was idle then,
    -- began after this transaction did.
    select least(statement_timestamp(), min(coalesce(writer.xact_start, transaction_timestamp())))
    from pg_locks as held
    left join pg_stat_activity as writer on held.pid = writer.pid
    where
        held.locktype = 'advisory' and held.granted
        and held.database = (select oid from pg_database where datname = current_database())
        and held.classid = 0 and held.objid = 1920102915 and held.objsubid = 1;
end;
comment on function knowledge_horizon() is
'Before this time, what was known is final: the start of the oldest batch in flight, or now. Writers hold the advisory lock 0x72727203. [UTC]';
grant execute on function knowledge_horizon() to rrr_analyst, rrr_writer;

grant usage on sequence ingest_batches_batch_id_seq to rrr_writer;

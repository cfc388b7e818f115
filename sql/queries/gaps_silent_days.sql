-- Which instruments' days of a stream may have silences: held without ids, or told of in the ledger.
select
    c.instrument,
    c.day,
    c.row_count,
    c.first_time,
    c.last_time,
    c.covered,
    c.is_dropped
from coverage as c
where
    c.stream = %(stream)s and c.day = any(%(days)s) and c.space not in ('trade_id', 'aggregate_id') and c.row_count > 0
    and (%(instruments)s::text[] is null or c.instrument = any(%(instruments)s))
union all
select distinct
    g.instrument,
    (g.from_time at time zone 'UTC')::date as day,
    0 as row_count,
    null::timestamptz as first_time,
    null::timestamptz as last_time,
    tstzmultirange() as covered,
    false as is_dropped
from gaps as g
where
    g.stream = %(stream)s and g.state <> 'healed' and g.evidence ->> 'by' = 'silence'
    and (g.from_time at time zone 'UTC')::date = any(%(days)s)
    and (%(instruments)s::text[] is null or g.instrument = any(%(instruments)s))
    and not exists (
        select 1 from coverage as c
        where
            c.instrument = g.instrument and c.stream = g.stream and c.day = (g.from_time at time zone 'UTC')::date
            and c.space not in ('trade_id', 'aggregate_id') and c.row_count > 0
    );

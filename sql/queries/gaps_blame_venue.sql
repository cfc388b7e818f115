-- Silences that are the venue's: all other instruments that are held of it that day are missing nine tenths of that time, too, and there
-- are some.
with silent as (
    select
        g.gap_id,
        g.instrument,
        g.stream,
        (g.from_time at time zone 'UTC')::date as day,
        tstzrange(g.from_time, g.to_time) as span,
        extract(epoch from g.to_time - g.from_time) as seconds
    from gaps as g
    where
        g.stream = %(stream)s and g.kind = 'interval' and g.evidence ->> 'by' = 'silence' and g.cause = 'feed' and g.state <> 'healed'
        and (g.from_time at time zone 'UTC')::date = any(%(days)s)
),

others as (
    select
        s.gap_id,
        c.instrument,
        coalesce((
            select sum(extract(epoch from upper(g.span * s.span) - lower(g.span * s.span)))
            from (
                select tstzrange(o.from_time, o.to_time) as span from gaps as o
                where
                    o.instrument = c.instrument and o.stream = c.stream and o.state <> 'healed'
                    and o.from_time < upper(s.span) and o.to_time > lower(s.span)
            ) as g
        ), 0) >= 0.9 * s.seconds as is_silent
    from silent as s
    inner join coverage as c
        on
            s.stream = c.stream and s.day = c.day and s.instrument <> c.instrument and c.row_count > 0
            and split_part(s.instrument, ':', 1) = split_part(c.instrument, ':', 1)
)

update gaps as g set
    cause = 'venue_outage',
    changed_at = clock_timestamp(),
    evidence = g.evidence || jsonb_build_object('silent_too', told.instruments)
from (
    select
        o.gap_id,
        array_agg(o.instrument order by o.instrument) as instruments
    from others as o
    group by o.gap_id
    having bool_and(o.is_silent)
) as told
where g.gap_id = told.gap_id;

-- The gaps that say that nothing is held of some days.
select
    g.gap_id,
    exists(
        select 1 from coverage as c
        where
            c.instrument = g.instrument and c.stream = g.stream and c.day = (g.from_time at time zone 'UTC')::date and c.row_count > 0
    ) as is_there
from gaps as g
where
    g.kind = 'file' and g.state <> 'healed' and (g.from_time at time zone 'UTC')::date = any(%(days)s)
    and (%(instruments)s::text[] is null or g.instrument = any(%(instruments)s));

-- The last day that was judged, of everybody or of some instruments, and whether anything was ever taken in.
select
    (
        select max(d.day) from quality_days as d
        where %(instruments)s::text[] is null or d.instrument = any(%(instruments)s)
    ) as last_day,
    (select max(c.day) from coverage as c) as last_held_day;

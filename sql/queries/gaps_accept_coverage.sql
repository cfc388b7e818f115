-- What is accepted of an instrument and stream's days: an interval more, or less.
update coverage as c set
    accepted = case when %(is_accepted)s then c.accepted + now.span else c.accepted - now.span end,
    updated_at = clock_timestamp()
from (
    select
        d.day,
        tstzmultirange(
            tstzrange(%(from_time)s, %(to_time)s)
            * tstzrange(d.day::timestamp at time zone 'UTC', (d.day + 1)::timestamp at time zone 'UTC')
        ) as span
    from unnest(%(days)s::date[]) as d (day)
) as now
where
    c.instrument = %(instrument)s and c.stream = %(stream)s and c.day = now.day
    and c.accepted is distinct from case when %(is_accepted)s then c.accepted + now.span else c.accepted - now.span end
returning c.day, lower(now.span) as from_time, upper(now.span) as to_time;

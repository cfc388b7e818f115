-- Gaps that are open or being healed, those of an instrument, stream and day together; what a file left missing beside the rest.
select
    g.instrument,
    g.stream,
    (g.from_time at time zone 'utc')::date as day,
    g.cause = 'quarantined' as is_of_file,
    array_agg(distinct g.cause) as causes,
    count(*) as gaps,
    min(g.from_time) as from_time,
    max(g.to_time) as to_time,
    min(g.first_seen) as first_seen,
    coalesce(sum(g.last_missing - g.first_missing + 1), 0)::bigint as ids,
    (array_agg(g.last_reason order by g.changed_at desc) filter (where g.last_reason is not null))[1] as last_reason
from gaps as g
where g.state in ('open', 'healing')
group by g.instrument, g.stream, (g.from_time at time zone 'utc')::date, g.cause = 'quarantined'
order by min(g.first_seen) desc
limit %(most)s;

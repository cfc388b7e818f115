-- Opens a gap for each day of which nothing is held.
insert into gaps (instrument, stream, kind, from_time, to_time, cause, state, first_seen, changed_at, evidence)
select
    n.instrument,
    n.stream,
    'file',
    n.day::timestamp at time zone 'UTC',
    (n.day + 1)::timestamp at time zone 'UTC',
    case when n.announced is null then 'file_missing' else 'venue_outage' end as cause,
    'open',
    clock_timestamp(),
    clock_timestamp(),
    jsonb_strip_nulls(jsonb_build_object('by', 'file', 'announced', n.announced, 'run_id', %(run_id)s::text)) as evidence
from
    unnest(%(instruments)s::text[], %(streams)s::text[], %(days)s::date[], %(announced)s::text[]) as n (instrument, stream, day, announced);

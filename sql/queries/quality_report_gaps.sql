-- What is missing and neither healed nor accepted, the longest open first, and how many there are in all.
select
    g.gap_id,
    g.instrument,
    g.stream,
    g.kind,
    g.from_time,
    g.to_time,
    g.first_missing,
    g.last_missing,
    g.cause,
    g.state,
    g.first_seen,
    g.attempts,
    g.last_reason,
    count(*) over () as in_all
from gaps as g
where
    g.state in ('open', 'healing')
    and (%(instruments)s::text[] is null or g.instrument = any(%(instruments)s))
    and (%(since)s::timestamptz is null or g.to_time > %(since)s)
    and (%(until)s::timestamptz is null or g.from_time < %(until)s)
order by g.first_seen, g.gap_id
limit %(most)s;

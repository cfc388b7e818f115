-- Findings that are open, the newest first. What a load found stands in its batch, and names the stream.
select
    f.rule,
    f.severity,
    f.relation,
    f.instrument,
    f.day,
    coalesce(f.from_time, f.day::timestamp at time zone 'utc', f.first_seen) as since,
    f.first_seen,
    f.broken,
    f.examined,
    f.examples,
    case when f.relation = 'ingest_batches' then f.detail ->> 'stream' end as stream,
    f.run_id
from findings as f
where f.state = 'open'
order by f.first_seen desc
limit %(most)s;

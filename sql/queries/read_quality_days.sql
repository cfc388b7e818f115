-- The published status of each instrument and day that the window touches.
select
    q.instrument,
    q.day,
    q.status,
    q.row_count,
    q.completeness,
    q.validity,
    q.conformance,
    q.freshness,
    q.open_gaps,
    q.findings,
    q.anomalies,
    to_json(q.reasons) as reasons,
    q.computed_at
from quality_days as q
where
    (%(instrument)s::text is null or q.instrument = %(instrument)s)
    and (%(since)s::timestamptz is null or (q.day + 1)::timestamp at time zone 'UTC' > %(since)s)
    and (%(until)s::timestamptz is null or q.day::timestamp at time zone 'UTC' < %(until)s)
order by q.instrument, q.day;

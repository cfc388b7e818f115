-- The published status of the days of a window.
select
    d.instrument,
    d.day,
    d.status,
    d.row_count,
    d.completeness,
    d.validity,
    d.conformance,
    d.freshness,
    d.open_gaps,
    d.findings,
    d.anomalies,
    d.reasons,
    d.computed_at
from quality_days as d
where
    d.day >= %(from_day)s and d.day < %(until_day)s
    and (%(instruments)s::text[] is null or d.instrument = any(%(instruments)s))
order by d.instrument, d.day;

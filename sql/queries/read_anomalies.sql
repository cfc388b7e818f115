-- Anomalies of an instrument, or of all, that touch a window.
select
    a.anomaly_id,
    a.rule,
    a.relation,
    a.instrument,
    a.from_time,
    a.to_time,
    a.value,
    a.expected,
    a.score,
    a.threshold,
    a.baseline_version,
    a.detail,
    a.found_at
from anomalies as a
where
    (%(instrument)s::text is null or a.instrument = %(instrument)s)
    and (%(since)s::timestamptz is null or a.to_time > %(since)s)
    and (%(until)s::timestamptz is null or a.from_time < %(until)s)
order by a.from_time, a.instrument, a.rule;

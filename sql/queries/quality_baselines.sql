-- The baselines that are scored by, of some instruments, or of all.
select
    b.version,
    b.instrument,
    b.metric,
    b.hour_of_week,
    b.basis,
    b.samples,
    b.unit,
    b.median,
    b.deviation
from baselines as b
inner join baseline_versions as v on b.version = v.version
where v.is_current and (%(instruments)s::text[] is null or b.instrument = any(%(instruments)s))
order by b.instrument, b.metric, b.hour_of_week;

-- When which metric of an instrument was unusual by its baseline.
select
    replace(a.rule, 'seasonal_', '') as metric,
    a.from_time,
    a.to_time
from anomalies as a
where a.instrument = %(instrument)s and a.rule like 'seasonal\_%%' and a.from_time < %(until)s and a.to_time > %(since)s
order by a.from_time, a.rule;

-- How many findings are open of some days and of no day, by severity.
select
    f.severity,
    count(*) as findings
from findings as f
where f.state = 'open' and (f.day is null or f.day = any(%(days)s))
group by f.severity;

-- Alerts that are open, by severity.
select
    a.severity,
    count(*) as alerts
from alerts as a
where a.state = 'open'
group by a.severity;

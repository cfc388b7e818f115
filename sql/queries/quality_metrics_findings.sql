-- Findings that are open, by rule.
select
    f.rule,
    f.severity,
    count(*) as findings
from findings as f
where f.state = 'open'
group by f.rule, f.severity
order by f.severity, f.rule
limit %(most)s;

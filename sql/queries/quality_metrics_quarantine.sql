-- Rows that wait in quarantine, by reason.
select
    q.reason,
    count(*) as waiting
from quarantine as q
where q.state = 'quarantined'
group by q.reason
order by waiting desc, q.reason asc
limit %(most)s;

-- Days of which rows were refused, or taken in after all, since a time.
select distinct q.day
from quarantine as q
where q.quarantined_at > %(since)s or q.replayed_at > %(since)s
order by q.day desc;

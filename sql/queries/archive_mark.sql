-- The last entry of the invalidation log for some relations on some days, 0 where there is none.
select coalesce(max(d.last_id), 0) as log_mark
from invalidation_days as d
where d.relation = any(%(relations)s) and d.day >= %(from_day)s and d.day < %(to_day)s;

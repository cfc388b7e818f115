-- The days of features that were not held against anything, or changed since.
select n.day
from invalidation_days as n
where
    n.relation = 'features_1m' and n.day >= %(from_day)s and n.day < %(until_day)s
    and not exists (select 1 from feature_drift as d where d.day = n.day and d.computed_at >= n.last_logged_at)
group by n.day
order by n.day;

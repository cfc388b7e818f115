-- The days of which features were made, by instrument, with the last entry of the log: another entry, other values.
select
    d.instrument,
    d.day,
    d.last_id
from invalidation_days as d
where d.relation = 'features_1m' and d.day >= %(from_day)s and d.day < %(until_day)s
order by d.instrument, d.day;

-- What the data of some days is that baselines are learned from: another mark, other baselines.
select
    md5(string_agg(concat_ws('|', q.instrument, q.day, n.relation, n.last_id), ',' order by q.instrument, q.day, n.relation)) as mark,
    count(distinct q.instrument) as instruments
from quality_days as q
left join invalidation_days as n
    on q.instrument = n.instrument and q.day = n.day and n.relation in ('bars_5m', 'raw_quotes')
where q.status = 'available' and q.day >= %(from_day)s and q.day < %(until_day)s;

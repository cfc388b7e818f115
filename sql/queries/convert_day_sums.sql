-- How many rows a day has, and the sum of their hashes: every value of every row is in it, and no order.
select
    count(*) as row_count,
    coalesce(sum(hashtextextended(t::text, 0)), 0) as row_hash
from {table} as t
where t.event_time >= %(from_time)s and t.event_time < %(to_time)s;

-- Rows of a small table by day, counted.
select
    ({time_column} at time zone 'UTC')::date as day,
    count(*) as row_count
from {table}
group by 1
order by 1;

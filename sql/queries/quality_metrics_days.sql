-- The published status of the last 30 days.
select
    d.status,
    count(*) as days
from quality_days as d
where d.day >= (statement_timestamp() at time zone 'UTC')::date - 30
group by d.status;

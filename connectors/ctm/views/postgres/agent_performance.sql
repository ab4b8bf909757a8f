-- needs: accounts, calls
-- What each agent did on each of the account's own days.
WITH accounts_zoned AS (
    SELECT a.id, coalesce(z.name, '${timezone}') AS zone
    FROM accounts AS a LEFT JOIN pg_timezone_names AS z ON z.name = a.time_zone
    WHERE a._deleted_at IS NULL
)
SELECT
    CAST(timezone(coalesce(a.zone, '${timezone}'), c.called_at) AS date) AS day,
    c.account_id,
    c.agent_id,
    (array_agg(c.agent_name ORDER BY c.called_at DESC)
        FILTER (WHERE c.agent_name IS NOT NULL AND c.called_at IS NOT NULL))[1] AS agent_name,
    count(*) AS calls,
    count(*) FILTER (WHERE c.dial_status IN ('answered', 'completed')) AS answered,
    CAST(sum(c.talk_time) / 60 AS numeric(18, 1)) AS talk_minutes,
    CAST(avg(c.talk_time) FILTER (WHERE c.talk_time > 0) AS numeric(18, 1)) AS talk_seconds_average,
    CAST(avg(c.ring_time) AS numeric(18, 1)) AS ring_seconds_average,
    count(*) FILTER (WHERE c.sale_conversion) AS conversions,
    sum(c.sale_value) AS sale_value
FROM calls AS c LEFT JOIN accounts_zoned AS a ON a.id = c.account_id
WHERE c._deleted_at IS NULL AND c.agent_id IS NOT NULL AND c.direction IN ('inbound', 'outbound')
GROUP BY 1, 2, 3

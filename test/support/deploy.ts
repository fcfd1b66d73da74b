import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";

export const DEPLOY = join(import.meta.dirname, "../../deploy");
export const RULES = join(DEPLOY, "prometheus/rules.yml");

const DASHBOARDS = join(DEPLOY, "grafana/dashboards");

interface Rule {
	record?: string;
	alert?: string;
	expr: string;
}

interface Panel {
	datasource: { uid: string };
	title: string;
	targets?: { expr?: string }[];
}

interface Dashboard {
	title: string;
	uid: string;
	panels: Panel[];
	templating: { list: { query: string }[] };
}

/** Grafana's dashboards, as they are provisioned. */
export function dashboards(): Dashboard[] {
	return readdirSync(DASHBOARDS).map(file => JSON.parse(readFileSync(join(DASHBOARDS, file), "utf8")));
}

/** The configuration of Prometheus for a mesh on this machine: other targets, quicker, and no Alertmanager. */
export function localPrometheusConfig(targetUrls: string[]): string {
	return readFileSync(join(DEPLOY, "prometheus/prometheus.yml"), "utf8")
		.replaceAll(/(scrape|evaluation)_interval: 15s/g, "$1_interval: 1s")
		.replace("rules.yml", RULES)
		.replace(/alerting:.*?(?=\nscrape_configs)/s, "")
		.replace(/( +)- \{ url.*$/s, (_, indent) =>
			targetUrls.map(url => `${indent}- { url: "${url}/targets", refresh_interval: 1s }`).join("\n")
		);
}

/** The expressions of every rule. */
export function ruleExpressions(): { name: string; expression: string }[] {
	const { groups } = parse(readFileSync(RULES, "utf8")) as { groups: { rules: Rule[] }[] };
	return groups.flatMap(group =>
		group.rules.map(({ record, alert, expr }) => ({ name: record ?? alert ?? "", expression: expr }))
	);
}

/** The expressions of every panel. */
export function panelExpressions(): { name: string; expression: string }[] {
	return dashboards().flatMap(({ title, panels }) =>
		panels.flatMap(panel =>
			(panel.targets ?? []).flatMap(({ expr }) =>
				expr ? [{ name: `${title} / ${panel.title}`, expression: expr }] : []
			)
		)
	);
}

const NOT_METRICS = new Set(
	"and or unless by without on ignoring group_left group_right bool offset sum min max avg count rate increase irate histogram_quantile absent vector min_over_time label_values".split(
		" "
	)
);

/** The names of the metrics in an expression of PromQL. */
export function metricsIn(expression: string): string[] {
	const bare = expression
		.replaceAll(/"[^"]*"/g, "")
		.replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, "")
		.replaceAll(/\b(?:by|without|on|ignoring)\s*\([^)]*\)/g, "");
	const words = bare.match(/(?<![\w$.])[a-zA-Z_:][\w:]*/g) ?? [];
	return [...new Set(words.filter(word => !NOT_METRICS.has(word)))];
}

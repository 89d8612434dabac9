import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { Live } from "../src/model";
import createWidget from "../src/widget";
import { append, FakeModel, LOSS } from "./fakes";

const mounted: { el: HTMLElement; live: Live; signal: AbortSignal }[] = [];

// The dashboard has tests of its own; here it only has to be mounted and ended.
vi.mock("../src/shell/mount", () => ({
  mountDashboard: (el: HTMLElement, live: Live, signal: AbortSignal) => {
    mounted.push({ el, live, signal });
  },
}));

beforeEach(() => {
  vi.useFakeTimers();
  mounted.length = 0;
});
afterEach(() => vi.useRealTimers());

const hiders = () => [...document.head.querySelectorAll("style")].map((s) => s.textContent);
const RULE = '[data-nbmonitor-static="abc"]{display:none!important}';

function render(widget: ReturnType<typeof createWidget>, model: FakeModel): () => void {
  return widget.render({ model: model.page, el: document.createElement("div") });
}

/** The dashboard is unpacked when there is a view: until so many have been opened. */
async function opened(count: number): Promise<void> {
  await vi.waitFor(() => expect(mounted).toHaveLength(count));
}

describe("widget", () => {
  test("initialize is synchronous, says hello and draws nothing", () => {
    const model = new FakeModel();
    const close = createWidget().initialize({ model: model.page });
    expect(close).toBeTypeOf("function");
    expect(model.kinds()).toEqual(["hello"]);
    expect(mounted).toEqual([]);
    close();
    expect(model.listening).toBe(0);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("views of one model share the store; each ends by itself", async () => {
    const model = new FakeModel();
    const widget = createWidget();
    const close = widget.initialize({ model: model.page });
    const leave = [render(widget, model), render(widget, model)];
    await opened(2);
    model.receive(...append(1, 0, [1], { declare: [LOSS] }));
    expect(mounted[0]?.live.store).toBe(mounted[1]?.live.store);
    expect(mounted[0]?.live.store.series("train/loss")?.rows).toBe(1);
    leave[0]?.();
    expect(mounted.map((m) => m.signal.aborted)).toEqual([true, false]);
    close();
    expect(mounted.map((m) => m.signal.aborted)).toEqual([true, true]);
  });

  test("the static picture is hidden until the last view leaves", () => {
    const model = new FakeModel();
    const widget = createWidget();
    const close = widget.initialize({ model: model.page });
    const leave = [render(widget, model), render(widget, model)];
    expect(hiders()).toEqual([RULE]);
    leave[0]?.();
    expect(hiders()).toEqual([RULE]);
    leave[1]?.();
    expect(hiders()).toEqual([]);
    const again = render(widget, model);
    expect(hiders()).toEqual([RULE]);
    again();
    close();
    expect(hiders()).toEqual([]);
  });

  test("two widgets on a page share nothing", async () => {
    const models = [new FakeModel(), new FakeModel({ picture_id: "xyz" })];
    const closes = models.map((model) => {
      const widget = createWidget();
      const close = widget.initialize({ model: model.page });
      render(widget, model);
      return close;
    });
    await opened(2);
    models[0]?.receive(...append(1, 0, [1], { declare: [LOSS] }));
    expect(mounted[0]?.live.store.version).toBe(1);
    expect(mounted[1]?.live.store.version).toBe(0);
    expect(hiders()).toHaveLength(2);
    closes[0]?.();
    expect(mounted[1]?.signal.aborted).toBe(false);
    expect(hiders()).toHaveLength(1);
    closes[1]?.();
    expect(models.map((m) => m.listening)).toEqual([0, 0]);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a host that renders without initialize still gets a dashboard", async () => {
    const model = new FakeModel();
    const leave = render(createWidget(), model);
    await opened(1);
    expect(model.kinds()).toEqual(["hello"]);
    leave();
  });

  test("where it cannot be unpacked, the view says so, unless it is gone", async () => {
    const refuse = () => Promise.reject(new Error("no blobs here"));
    vi.doMock("../src/shell/mount?packed", () => ({ default: refuse }));
    vi.resetModules();
    const { default: create } = await import("../src/widget");
    const model = new FakeModel();
    const els = [document.createElement("div"), document.createElement("div")];
    const widget = create();
    const leave = els.map((el) => widget.render({ model: model.page, el }));
    leave[1]?.();
    await vi.waitFor(() =>
      expect(els[0]?.textContent).toBe("nbmonitor cannot be shown here: no blobs here"),
    );
    expect(els[1]?.textContent).toBe("");
    leave[0]?.();
    vi.doUnmock("../src/shell/mount?packed");
  });
});

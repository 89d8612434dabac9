import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { OutputJson } from "../src/host";
import { Persistence } from "../src/persist";
import { Session } from "../src/session";
import { FakeDocument, FakeModel } from "./fakes";

const STATE = "application/vnd.jupyter.widget-state+json";
let end: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  end = new AbortController();
});
afterEach(() => {
  end.abort();
  vi.useRealTimers();
});

function output(id: string): OutputJson {
  return {
    output_type: "display_data",
    metadata: {},
    data: {
      "text/plain": "run",
      "text/html": ["<div data-nbmonitor", `-static="${id}">old</div>`],
    },
  };
}

function historyBytes(): DataView {
  const data = readFileSync(join(import.meta.dirname, "../../tests/wire/history.bin"));
  return new DataView(new Uint8Array(data).buffer);
}

function setUp(doc: FakeDocument | undefined, traits = {}) {
  const getState = vi.fn(() => ({ state: "all" }));
  const manager = { kernel: {}, context: doc, get_state_sync: getState };
  const model = new FakeModel(traits, manager);
  const session = new Session(model.page, end.signal);
  const persistence = new Persistence(model.page, session);
  persistence.start();
  return { model, session, getState };
}

function picture(model: FakeModel, bytes: number[], seq = 1): void {
  const data = Uint8Array.from(bytes);
  model.receive(
    {
      kind: "put",
      seq,
      generation: 1,
      key: "nbmonitor/picture",
      step: 9,
      dtype: "uint8",
      shape: [bytes.length],
      meta: { alt: 'loss "3" <now>' },
    },
    [new DataView(data.buffer)],
  );
}

const wait = (ms: number) => vi.advanceTimersByTimeAsync(ms);

/** A document whose file can be asked for, as JupyterLab's. */
function onDisk(known: object, file: () => object): FakeDocument {
  const contents = { get: vi.fn(async () => file()) };
  return Object.assign(new FakeDocument(), {
    path: "a.ipynb",
    contentsModel: known,
    _manager: { contents },
  });
}

describe("a notebook that was written elsewhere", () => {
  const at = (ms: number) => ({ last_modified: new Date(1e12 + ms).toISOString() });

  test.each([
    ["the same hash", { ...at(0), hash: "a" }, { ...at(9000), hash: "a" }, 1],
    ["another hash", { ...at(0), hash: "a" }, { ...at(0), hash: "b" }, 0],
    ["written within the same moment", at(0), at(300), 1],
    ["written later", at(0), at(900), 0],
  ])("%s", async (_, known, file, times) => {
    const doc = onDisk(known, () => file);
    setUp(doc);
    await wait(2000);
    expect(doc.save).toHaveBeenCalledTimes(times);
  });

  test("of two pages the one that came later waits, and finds it saved", async () => {
    let hash = "a";
    const first = onDisk({ hash }, () => ({ hash }));
    const second = onDisk({ hash }, () => ({ hash }));
    first.model.dirty = second.model.dirty = false;
    first.save.mockImplementation(async () => {
      hash = "b";
    });
    const history = historyBytes();
    const pages = [setUp(second, { history }), setUp(first)];
    await wait(2000);
    for (const { model } of pages) model.setState("finished");
    for (const { model } of pages) model.setTrait("history", historyBytes());
    await wait(5000);
    expect(first.save).toHaveBeenCalledTimes(1);
    expect(second.save).not.toHaveBeenCalled();
  });
});

describe("the first render", () => {
  test("two widgets in one notebook save it one after the other", async () => {
    const doc = new FakeDocument();
    let release = () => {};
    doc.save.mockImplementationOnce(() => new Promise<void>((done) => (release = done)));
    setUp(doc);
    setUp(doc);
    await wait(2000);
    expect(doc.save).toHaveBeenCalledTimes(1);
    release();
    await wait(0);
    expect(doc.save).toHaveBeenCalledTimes(2);
  });

  test("a widget whose save hangs, or fails, keeps the others waiting for 10 s at most", async () => {
    const doc = new FakeDocument();
    doc.save.mockImplementationOnce(() => new Promise<void>(() => {}));
    doc.save.mockImplementationOnce(() => Promise.reject(new Error("disk full")));
    for (let i = 0; i < 3; i++) setUp(doc);
    await wait(5000);
    expect(doc.save).toHaveBeenCalledTimes(1);
    await wait(6000);
    expect(doc.save).toHaveBeenCalledTimes(3);
  });

  test("saves the document once, with the widgets' state", async () => {
    const doc = new FakeDocument();
    const { getState } = setUp(doc);
    await wait(2000);
    expect(doc.save).toHaveBeenCalledTimes(1);
    expect(doc.metadata).toEqual({ widgets: { [STATE]: { state: "all" } } });
    expect(getState).toHaveBeenCalledWith({ drop_defaults: true });
    await wait(300_000);
    expect(doc.save).toHaveBeenCalledTimes(1);
  });

  test("leaves a document alone that has nothing new", async () => {
    const doc = new FakeDocument([], false);
    setUp(doc);
    await wait(2000);
    expect(doc.save).not.toHaveBeenCalled();
    expect(doc.metadata).toEqual({});
  });
});

describe("the end of a run", () => {
  test("waits for the final history", async () => {
    const doc = new FakeDocument([], false);
    const { model } = setUp(doc);
    model.setState("finished");
    await wait(1000);
    expect(doc.save).not.toHaveBeenCalled();
    model.setTrait("history", new DataView(new ArrayBuffer(8)));
    await wait(1);
    expect(doc.save).toHaveBeenCalledTimes(1);
    await wait(10_000);
    expect(doc.save).toHaveBeenCalledTimes(1);
  });

  test("waits no longer than 3 s", async () => {
    const doc = new FakeDocument([], false);
    const { model } = setUp(doc);
    model.setState("interrupted");
    await wait(3100);
    expect(doc.save).toHaveBeenCalledTimes(1);
  });

  test("that falls into a save is saved after it", async () => {
    const doc = new FakeDocument([], false);
    let release = () => {};
    doc.save.mockImplementationOnce(() => new Promise<void>((done) => (release = done)));
    const { model } = setUp(doc);
    model.setTrait("history", new DataView(new ArrayBuffer(8)));
    await wait(1);
    model.setState("finished");
    await wait(5000);
    expect(doc.save).toHaveBeenCalledTimes(1);
    release();
    await wait(1);
    expect(doc.save).toHaveBeenCalledTimes(2);
  });

  const status = { state: "finished", message: "", detail: "", total_steps: 1, total_epochs: 1 };
  const saved = (state: string) => ({
    [STATE]: { state: { m1: {}, m2: { state: { picture_id: "abc", status: { state } } } } },
  });

  test("a run that is saved as ended is not saved again", async () => {
    const doc = new FakeDocument([], false);
    doc.metadata.widgets = saved("finished");
    const { model } = setUp(doc, { status });
    model.setState("finished");
    await wait(10_000);
    expect(doc.save).not.toHaveBeenCalled();
  });

  test("a run that ended while no page was open is saved by the next page", async () => {
    for (const before of [undefined, saved("running")]) {
      const doc = new FakeDocument([], false);
      doc.metadata.widgets = before;
      setUp(doc, { status });
      await wait(10_000);
      expect(doc.save).toHaveBeenCalledTimes(1);
    }
  });

  test("without a kernel nothing is saved", async () => {
    const doc = new FakeDocument();
    const model = new FakeModel({ status }, { kernel: null, context: doc });
    new Persistence(model.page, new Session(model.page, end.signal)).start();
    await wait(10_000);
    expect(doc.save).not.toHaveBeenCalled();
  });
});

describe("while running", () => {
  test("saves with a new history, at most once a minute", async () => {
    const doc = new FakeDocument([], false);
    const { model } = setUp(doc);
    await wait(1000);
    for (let second = 0; second < 150; second++) {
      model.setTrait("history", new DataView(new ArrayBuffer(8)));
      await wait(1000);
    }
    expect(doc.save).toHaveBeenCalledTimes(3);
  });
});

describe("the static picture", () => {
  test("goes into our own output and no other", async () => {
    const outputs = [output("abc"), output("other"), { output_type: "stream", text: "hi" }];
    const doc = new FakeDocument(outputs, false);
    const { model } = setUp(doc);
    picture(model, [137, 80, 78, 71]);
    model.setState("finished");
    await wait(3100);
    expect(outputs[0]?.data).toEqual({
      "text/plain": 'loss "3" <now>',
      "image/png": "iVBORw==",
      "text/html":
        '<div class="nbmonitor-static" data-nbmonitor-static="abc"><img alt="loss &quot;3&quot; &lt;now>" ' +
        'src="data:image/png;base64,iVBORw=="></div>',
    });
    expect(outputs[1]).toEqual(output("other"));
  });

  test("a big one is encoded whole", async () => {
    const outputs = [output("abc")];
    const { model } = setUp(new FakeDocument(outputs, false));
    const bytes = Array.from({ length: 200_001 }, (_, i) => (i * 7) % 256);
    picture(model, bytes);
    model.setState("finished");
    await wait(3100);
    const png = outputs[0]?.data?.["image/png"] as string;
    expect(Buffer.from(png, "base64").equals(Buffer.from(bytes))).toBe(true);
  });

  test("without one the output stays as it is", async () => {
    const outputs = [output("abc")];
    const { model } = setUp(new FakeDocument(outputs, false));
    model.setState("finished");
    await wait(3100);
    expect(outputs[0]).toEqual(output("abc"));
  });
});

describe("hands off", () => {
  test("where autosave is off", async () => {
    const doc = new FakeDocument();
    const { model } = setUp(doc, { autosave: false });
    model.setState("finished");
    await wait(5000);
    expect(doc.save).not.toHaveBeenCalled();
    expect(doc.metadata).toEqual({});
  });

  test("where the host shows no document, or one that is read-only", async () => {
    const { model, session } = setUp(undefined);
    model.setState("finished");
    await wait(5000);
    const doc = new FakeDocument();
    doc.model.readOnly = true;
    setUp(doc);
    await wait(5000);
    expect(doc.save).not.toHaveBeenCalled();
    expect(session.link.note).toBe("");
  });

  test("a save that fails is noted once and not tried again", async () => {
    const noise = vi.spyOn(console, "error");
    const doc = new FakeDocument();
    doc.save.mockRejectedValue(new Error("disk full"));
    const { model, session } = setUp(doc);
    await wait(1000);
    expect(session.link.note).toBe("the notebook was not saved: Error: disk full");
    model.setState("finished");
    await wait(5000);
    expect(doc.save).toHaveBeenCalledTimes(1);
    expect(noise).not.toHaveBeenCalled();
  });
});

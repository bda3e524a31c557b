/* Search in pages that were opened from a disk. A browser starts no worker from a file; there, the search's code runs in a
   hidden frame, as Material's plugin `offline` wants it, which would fetch such a script (iframe-worker) from elsewhere. */
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.appendChild(this.frame);
      const inside = this.frame.contentWindow;
      inside.document.write("<body>"); // else Firefox replaces the empty document, and what is in it, a moment later
      inside.document.close();
      inside.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }));
      inside.importScripts = async (...sources) => {
        for (const src of sources)
          await new Promise((onload) => {
            inside.document.body.appendChild(Object.assign(inside.document.createElement("script"), { src, onload }));
          });
      };
      this.ready = inside.importScripts(url);
    }
    postMessage(data) {
      this.ready.then(() => this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data })));
    }
    terminate() { this.frame.remove(); }
  };
}
